package agent

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/ctl-sh/ctl/internal/httpapi"
)

// requester makes this agent's own requests to its cluster, in process: they run
// here or at a server like any client's, and wait for a leader while there is
// none.
type requester struct{ a *Agent }

// Do makes one request. path is percent-encoded. The answer is the HTTP API's;
// err is only for a request that got none because ctx ended.
func (r requester) Do(ctx context.Context, method, path string, query url.Values, body []byte) (status int, header http.Header, answer []byte, err error) {
	resp := r.a.mux.Do(ctx, &httpapi.WireRequest{
		Method: method, Path: path, RawQuery: query.Encode(), Body: body, RemoteAddr: "@", Token: query.Get("token"),
	})
	if resp.Status >= http.StatusInternalServerError && ctx.Err() != nil {
		return 0, nil, nil, ctx.Err()
	}
	header = http.Header{}
	for line := range strings.SplitSeq(resp.Header, "\n") {
		if key, value, ok := strings.Cut(line, ": "); ok {
			header.Add(key, value)
		}
	}
	return resp.Status, header, resp.Body, nil
}
