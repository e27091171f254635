package agentproc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// SharedPrograms is the environment variable that names a directory in which the
// packages of one test run keep the programs they build for each other. Who sets
// it makes sure that the sources do not change meanwhile; empty shares nothing.
const SharedPrograms = "CTL_TEST_PROGRAMS"

// Build compiles cmd/ctl of the module that contains the working directory
// into dir and returns the binary's path. tags are build tags, separated by
// commas, beside those of the released program; empty is that program. Where
// SharedPrograms is set it takes the program that is there.
func Build(ctx context.Context, dir, tags string) (string, error) {
	return buildInto(ctx, dir, tags, "-s -w")
}

// BuildVersion is Build of the released program with a version stamped on it, as
// a release has.
func BuildVersion(ctx context.Context, dir, version string) (string, error) {
	return buildInto(ctx, dir, "", "-s -w -X github.com/ctl-sh/ctl/internal/buildinfo.Version="+version)
}

func buildInto(ctx context.Context, dir, tags, ldflags string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, programName())
	shared := os.Getenv(SharedPrograms)
	if shared == "" {
		return bin, compile(ctx, root, bin, tags, ldflags)
	}
	kept := sharedName(shared, tags, ldflags)
	if _, err := os.Stat(kept); err != nil {
		if err := compile(ctx, root, bin, tags, ldflags); err != nil {
			return "", err
		}
		return bin, put(bin, kept)
	}
	return bin, put(kept, bin)
}

// sharedName is where a program that is built with tags and ldflags is shared.
func sharedName(dir, tags, ldflags string) string {
	return filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(tags+"\x00"+ldflags)))[:16])
}

func programName() string {
	if os.PathSeparator == '\\' {
		return "ctl.exe"
	}
	return "ctl"
}

// put makes the program from be at to as well. Both names are of one file where
// they can be; a copy is whole before it has its name.
func put(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	part := fmt.Sprintf("%s.%d", to, os.Getpid())
	if err := os.WriteFile(part, program, 0o755); err != nil {
		return err
	}
	return os.Rename(part, to)
}

func compile(ctx context.Context, root, bin, tags, ldflags string) error {
	if out, err := build(ctx, root, bin, tags, ldflags); err != nil {
		return fmt.Errorf("build ctl: %w\n%s", err, out)
	}
	return nil
}

// Dependencies returns what the linker keeps of the released program and for
// the sake of what, as its option -dumpdep prints it. dir is for the program,
// which it builds on the way.
func Dependencies(ctx context.Context, dir string) ([]byte, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	out, err := build(ctx, root, filepath.Join(dir, "ctl"), "", "-s -w -dumpdep")
	if err != nil {
		return nil, fmt.Errorf("build ctl: %w\n%s", err, out)
	}
	return out, nil
}

// build builds as the Makefile does and returns what was printed.
func build(ctx context.Context, root, bin, tags, ldflags string) ([]byte, error) {
	tags = strings.TrimSuffix("grpcnotrace,"+tags, ",")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-funcalign 16 "+ldflags,
		"-gcflags", "github.com/itchyny/...=-l", "-gcflags", "github.com/ctl-sh/ctl/internal/cli/...=-l",
		"-tags", tags, "-o", bin, "./cmd/ctl")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd.CombinedOutput()
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("find the module: not inside one")
	}
	return filepath.Dir(mod), nil
}
