package catalogapi

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// change is one of several writes that come in one request: that of
// /v1/catalog/register or that of /v1/catalog/deregister.
type change struct {
	Register   *registerBody
	Deregister *deregisterBody
}

// refused is what the answer to several writes says of one that was not made: the
// answer it would have had alone.
type refused struct {
	Status int
	Text   string
}

// atOnce is how many writes of one request are on their way through the log at
// the same time. It is what an agent sends at most.
const atOnce = 64

var errOneChange = failure.New(failure.BadRequest, `Each change must be one of {"Register": …} and {"Deregister": …}`)

// several makes writes that have nothing to do with each other, in any order and
// each for itself, so that they share the way to the leader and a flush of its
// log. The answer has null for each that was made and says of each other why not.
// Where the leader cannot be asked the request fails as a whole, and may be
// repeated as a whole: what was made already moves nothing.
func (a *API) several(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	var changes []change
	if err := decode(r, &changes); err != nil {
		return nil, err
	}
	for i := range changes {
		if (changes[i].Register == nil) == (changes[i].Deregister == nil) {
			return nil, errOneChange
		}
	}
	errs := make([]error, len(changes))
	var (
		next  atomic.Int64
		group sync.WaitGroup
	)
	for range min(atOnce, len(changes)) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(changes)); i = next.Add(1) - 1 {
				errs[i] = a.change(ctx, r, &changes[i])
			}
		})
	}
	group.Wait()
	answer := make([]*refused, len(changes))
	for i, err := range errs {
		switch kind := failure.KindOf(err); {
		case err == nil:
		case kind.Retryable(), kind == failure.OutcomeUnknown, ctx.Err() != nil:
			return nil, err
		default:
			answer[i] = refusalOf(err)
		}
	}
	return &httpapi.Response{Body: answer}, nil
}

func (a *API) change(ctx context.Context, r *httpapi.Request, c *change) error {
	if c.Register != nil {
		return a.enter(ctx, r, c.Register)
	}
	return a.remove(ctx, r, c.Deregister)
}

func refusalOf(err error) *refused {
	if status, ok := errors.AsType[*httpapi.StatusError](err); ok {
		return &refused{status.Status, status.Text}
	}
	return &refused{failure.KindOf(err).HTTPStatus(), err.Error()}
}
