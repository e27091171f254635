package agentapi

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

const (
	// How long a profile or trace runs that names no time, and the longest
	// one may: it is kept in memory.
	profileTime    = 30 * time.Second
	traceTime      = time.Second
	maxProfileTime = 10 * time.Minute
)

func (a *API) profileRoutes() []httpapi.Route {
	const root = "/debug/pprof/"
	return []httpapi.Route{
		{Method: http.MethodGet, Pattern: root + "cmdline", Handle: a.debug(commandLine)},
		{Method: http.MethodGet, Pattern: root + "profile", Handle: a.debug(cpuProfile)},
		{Method: http.MethodGet, Pattern: root + "trace", Handle: a.debug(executionTrace)},
		{Method: http.MethodGet, Pattern: root + "symbol", Handle: a.debug(symbols)},
		{Method: http.MethodPost, Pattern: root + "symbol", Handle: a.debug(symbols)},
		{Method: http.MethodGet, Pattern: root + "{name}", Handle: a.debug(namedProfile)},
	}
}

// debug lets only those look inside who may read the operator's things, and
// nobody while it is switched off.
func (a *API) debug(h httpapi.Handler) httpapi.Handler {
	return func(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
		if a.EnableDebug == nil || !a.EnableDebug() {
			return nil, failure.New(failure.NotFound, "profiles are off: set enable_debug to true and reload")
		}
		if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Operator, "", authz.Read); err != nil {
			return nil, err
		}
		return h(ctx, r)
	}
}

// binary answers with a file that is not text.
func binary(name string, body []byte) *httpapi.Response {
	return &httpapi.Response{ContentType: "application/octet-stream", Raw: body, Header: http.Header{
		"Content-Disposition":    {fmt.Sprintf("attachment; filename=%q", name)},
		"X-Content-Type-Options": {"nosniff"},
	}}
}

func commandLine(context.Context, *httpapi.Request) (*httpapi.Response, error) {
	return &httpapi.Response{ContentType: plainText, Raw: []byte(strings.Join(os.Args, "\x00"))}, nil
}

func cpuProfile(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	d, err := seconds(r, profileTime)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := pprof.StartCPUProfile(&out); err != nil {
		return nil, failure.Newf(failure.Invalid, "Could not enable CPU profiling: %w", err)
	}
	err = wait(ctx, d)
	pprof.StopCPUProfile()
	if err != nil {
		return nil, err
	}
	return binary("profile", out.Bytes()), nil
}

func executionTrace(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	d, err := seconds(r, traceTime)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := trace.Start(&out); err != nil {
		return nil, failure.Newf(failure.Invalid, "Could not enable tracing: %w", err)
	}
	err = wait(ctx, d)
	trace.Stop()
	if err != nil {
		return nil, err
	}
	return binary("trace", out.Bytes()), nil
}

// seconds returns the parameter of that name, which may have a fraction.
func seconds(r *httpapi.Request, otherwise time.Duration) (time.Duration, error) {
	if !r.Has("seconds") {
		return otherwise, nil
	}
	s, err := strconv.ParseFloat(r.Query.Get("seconds"), 64)
	if err != nil || !(s > 0 && s <= maxProfileTime.Seconds()) {
		return 0, failure.Newf(failure.BadRequest, "Invalid value for ?seconds: must be above 0 and at most %v", maxProfileTime.Seconds())
	}
	return time.Duration(s * float64(time.Second)), nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// symbols names the functions at the addresses that are asked for, as the
// pprof tool expects.
func symbols(_ context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	asked := string(r.Body)
	if r.Method == http.MethodGet {
		for key := range r.Query { // "0x1+0x2" is one key with a space in it
			asked += key + " "
		}
	}
	out := []byte("num_symbols: 1\n") // not 0 says that there are symbols
	for _, word := range strings.FieldsFunc(asked, func(c rune) bool { return c == '+' || c == ' ' }) {
		pc, err := strconv.ParseUint(word, 0, 64)
		if err != nil {
			continue
		}
		if f := runtime.FuncForPC(uintptr(pc)); f != nil {
			out = fmt.Appendf(out, "%#x %s\n", pc, f.Name())
		}
	}
	return &httpapi.Response{ContentType: plainText, Raw: out}, nil
}

// namedProfile answers with one of the profiles the runtime keeps, or, for no
// name, with a list of them.
func namedProfile(_ context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	name := r.PathValue("name")
	if name == "" {
		return profileIndex(), nil
	}
	p := pprof.Lookup(name)
	switch {
	case p == nil:
		return nil, failure.Newf(failure.NotFound, "Unknown profile %q", name)
	case r.Has("seconds"):
		return nil, failure.New(failure.BadRequest, "?seconds is only for the profiles named profile and trace")
	}
	debug, _ := strconv.Atoi(r.Query.Get("debug")) // anything else is 0, as in net/http/pprof
	if name == "heap" && r.Query.Get("gc") == "1" {
		runtime.GC()
	}
	var out bytes.Buffer
	if err := p.WriteTo(&out, debug); err != nil {
		return nil, fmt.Errorf("write profile %s: %w", name, err)
	}
	if debug != 0 {
		return &httpapi.Response{ContentType: plainText, Raw: out.Bytes()}, nil
	}
	return binary(name, out.Bytes()), nil
}

func profileIndex() *httpapi.Response {
	profiles := pprof.Profiles()
	slices.SortFunc(profiles, func(a, b *pprof.Profile) int { return cmp.Compare(a.Name(), b.Name()) })
	var out []byte
	for _, p := range profiles {
		out = fmt.Appendf(out, "%s\t%d\n", p.Name(), p.Count())
	}
	out = append(out, "cmdline\nprofile\nsymbol\ntrace\n"...)
	return &httpapi.Response{ContentType: plainText, Raw: out}
}
