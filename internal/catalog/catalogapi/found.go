package catalogapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// ReadFound reads the answer of health/service or health/connect that selects
// nothing. Rows that are in old, too, are taken from there. body must not change
// afterwards.
func ReadFound(body []byte, old *Found) (*Found, error) {
	var texts []json.RawMessage
	if err := json.Unmarshal(body, &texts); err != nil {
		return nil, fmt.Errorf("read instances: %w", err)
	}
	was := map[string]int{}
	if old != nil {
		for i, text := range old.health.json {
			was[string(text)] = i
		}
	}
	f := &Found{rows: make([]catalog.Health, len(texts)), health: list{json: make([][]byte, len(texts))}}
	at := 0
	for i, text := range texts {
		// The rows keep their places in body, so that it is there once.
		at += bytes.Index(body[at:], text)
		f.health.json[i] = body[at : at+len(text) : at+len(text)]
		at += len(text)
		f.bytes += len(text)
		if j, ok := was[string(text)]; ok {
			f.rows[i] = old.rows[j]
			continue
		}
		row, err := readHealth(text)
		if err != nil {
			return nil, fmt.Errorf("read instance %d: %w", i+1, err)
		}
		f.rows[i] = row
	}
	f.health.answers = map[string]*httpapi.Shared{"": httpapi.NewShared(body)}
	return f, nil
}

func readHealth(text []byte) (catalog.Health, error) {
	var shape struct {
		Node    *catalog.Node
		Service *serviceBody
		Checks  []*checkBody
	}
	if err := json.Unmarshal(text, &shape); err != nil {
		return catalog.Health{}, err
	}
	if shape.Node == nil || shape.Service == nil {
		return catalog.Health{}, fmt.Errorf("it has no node or no service")
	}
	service, err := shape.Service.row()
	if err != nil {
		return catalog.Health{}, err
	}
	service.Node, service.CreateIndex, service.ModifyIndex = shape.Node.Node, shape.Service.CreateIndex, shape.Service.ModifyIndex
	h := catalog.Health{Instance: catalog.Instance{Node: shape.Node, Service: service}}
	for _, c := range shape.Checks {
		if c == nil {
			continue
		}
		check, err := c.row()
		if err != nil {
			return catalog.Health{}, err
		}
		check.CreateIndex, check.ModifyIndex = c.CreateIndex, c.ModifyIndex
		h.Checks = append(h.Checks, check)
	}
	return h, nil
}

// Rows returns the instances. They must not be changed.
func (f *Found) Rows() []catalog.Health { return f.rows }

// whoAsks has the selection of requests read by an edge that allows everything:
// the rows are those the server showed to the same token.
var whoAsks = &API{Authz: authz.Open{}}

// ChooseHealths reads what a request of health/service or health/connect selects,
// and returns what answers it as the server would that was asked for everything.
func ChooseHealths(ctx context.Context, r *httpapi.Request) (func(*Found) (*httpapi.Shared, error), error) {
	want, err := whoAsks.wantedHealth(ctx, r)
	return func(f *Found) (*httpapi.Shared, error) { return f.healths(want) }, err
}

// ChooseInstances does the same for catalog/service and catalog/connect.
func ChooseInstances(ctx context.Context, r *httpapi.Request) (func(*Found) (*httpapi.Shared, error), error) {
	want, err := whoAsks.wantedInstances(ctx, r)
	return func(f *Found) (*httpapi.Shared, error) { return f.instances(want) }, err
}
