package checks

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/ctl-sh/ctl/internal/program"
)

const (
	dockerSocket = "unix:///var/run/docker.sock"
	dockerShell  = "/bin/sh"
	maxDockerDoc = 64 << 10
)

// docker is the little of the Docker engine's API that running a program in a
// container takes. Source: Docker Engine API 1.24, exec.
type docker struct {
	client *http.Client
	base   string
}

func newDocker(host string) docker {
	if host == "" {
		host = dockerSocket
	}
	t := newTransport(nil)
	if path, ok := strings.CutPrefix(host, "unix://"); ok {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
		return docker{&http.Client{Transport: t}, "http://docker/v1.24"}
	}
	return docker{&http.Client{Transport: t}, "http://" + strings.TrimPrefix(strings.TrimPrefix(host, "tcp://"), "http://") + "/v1.24"}
}

func (c docker) do(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode > 299 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxDockerDoc)) // the status says enough without
		return nil, fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return resp.Body, nil
}

// ask is do with a JSON answer.
func (c docker) ask(ctx context.Context, method, path string, body, answer any) error {
	r, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer r.Close()
	return json.NewDecoder(io.LimitReader(r, maxDockerDoc)).Decode(answer)
}

// exec runs a program in a container and returns its exit code.
func (c docker) exec(ctx context.Context, container string, args []string, out io.Writer) (int, error) {
	var made struct{ ID string }
	err := c.ask(ctx, http.MethodPost, "/containers/"+url.PathEscape(container)+"/exec",
		map[string]any{"AttachStdout": true, "AttachStderr": true, "Cmd": args}, &made)
	if err != nil {
		return 0, fmt.Errorf("create exec in container %s: %w", container, err)
	}
	stream, err := c.do(ctx, http.MethodPost, "/exec/"+url.PathEscape(made.ID)+"/start", map[string]any{"Detach": false, "Tty": false})
	if err != nil {
		return 0, fmt.Errorf("start exec in container %s: %w", container, err)
	}
	err = demultiplex(out, stream)
	_ = stream.Close() // read to its end, or given up
	if err != nil {
		return 0, fmt.Errorf("read output of exec in container %s: %w", container, err)
	}
	var ended struct{ ExitCode int }
	if err := c.ask(ctx, http.MethodGet, "/exec/"+url.PathEscape(made.ID)+"/json", nil, &ended); err != nil {
		return 0, fmt.Errorf("inspect exec in container %s: %w", container, err)
	}
	return ended.ExitCode, nil
}

// demultiplex takes the frames of both outputs apart.
func demultiplex(out io.Writer, stream io.Reader) error {
	header := make([]byte, 8)
	for {
		if _, err := io.ReadFull(stream, header); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		if _, err := io.CopyN(out, stream, int64(binary.BigEndian.Uint32(header[4:]))); err != nil {
			return err
		}
	}
}

func dockerProbe(d *Definition, host string, limit int) probe {
	client := newDocker(host)
	args := d.ScriptArgs
	if len(args) == 1 {
		shell := d.Shell
		if shell == "" {
			shell = dockerShell
		}
		args = []string{shell, "-c", args[0]}
	}
	return func(ctx context.Context) (string, string) {
		seen := program.NewTail(limit)
		code, err := client.exec(ctx, d.DockerContainerID, args, seen)
		if err != nil {
			return Critical, err.Error()
		}
		return exitStatus(code), seen.String()
	}
}
