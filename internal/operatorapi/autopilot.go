package operatorapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/autopilot"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/ctl-sh/ctl/internal/store"
)

// duration is a time.Duration that is a text such as "200ms" in JSON. It also
// reads a number of nanoseconds.
type duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d duration) MarshalJSON() ([]byte, error) {
	return []byte(strconv.Quote(time.Duration(d).String())), nil
}

// UnmarshalJSON implements json.Unmarshaler. Null leaves the value as it is.
func (d *duration) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" {
		return nil
	}
	text, err := strconv.Unquote(s)
	if err != nil { // a number
		n, err := strconv.ParseFloat(s, 64)
		if err == nil {
			*d = duration(n)
		}
		return err
	}
	parsed, err := time.ParseDuration(text)
	if err == nil {
		*d = duration(parsed)
	}
	return err
}

// settings is autopilot.Config as the public API shows it. The last three
// settings belong to features ctl does not have.
type settings struct {
	CleanupDeadServers      bool
	LastContactThreshold    duration
	MaxTrailingLogs         uint64
	MinQuorum               uint
	ServerStabilizationTime duration
	RedundancyZoneTag       string
	DisableUpgradeMigration bool
	UpgradeVersionTag       string
	CreateIndex             uint64
	ModifyIndex             uint64
}

func newSettings(c autopilot.Config) *settings {
	return &settings{
		CleanupDeadServers:      c.CleanupDeadServers,
		LastContactThreshold:    duration(c.LastContactThreshold),
		MaxTrailingLogs:         c.MaxTrailingLogs,
		MinQuorum:               c.MinQuorum,
		ServerStabilizationTime: duration(c.ServerStabilizationTime),
		CreateIndex:             c.CreateIndex,
		ModifyIndex:             c.ModifyIndex,
	}
}

// config returns what is to be stored, or why it cannot be.
func (s *settings) config() (autopilot.Config, error) {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"RedundancyZoneTag", s.RedundancyZoneTag != ""},
		{"DisableUpgradeMigration", s.DisableUpgradeMigration},
		{"UpgradeVersionTag", s.UpgradeVersionTag != ""},
	} {
		if f.set {
			return autopilot.Config{}, failure.Newf(failure.BadRequest, "%s is not supported: leave it out", f.name)
		}
	}
	if s.LastContactThreshold < 0 || s.ServerStabilizationTime < 0 {
		return autopilot.Config{}, failure.New(failure.BadRequest, "LastContactThreshold and ServerStabilizationTime must not be negative")
	}
	return autopilot.Config{
		CleanupDeadServers:      s.CleanupDeadServers,
		LastContactThreshold:    time.Duration(s.LastContactThreshold),
		MaxTrailingLogs:         s.MaxTrailingLogs,
		MinQuorum:               s.MinQuorum,
		ServerStabilizationTime: time.Duration(s.ServerStabilizationTime),
	}, nil
}

func (a *API) settings(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Read); err != nil {
		return nil, err
	}
	var c autopilot.Config
	o := r.Options
	o.MinIndex = 0 // nobody blocks for settings
	_, err := a.Reader.Read(ctx, o, func(ws store.WatchSet, tx *store.Txn) (res query.Result, err error) {
		c, res, err = autopilot.Get(ws, tx)
		return res, err
	})
	if err != nil {
		return nil, err
	}
	return &httpapi.Response{Body: newSettings(c)}, nil
}

func (a *API) changeSettings(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Write); err != nil {
		return nil, err
	}
	// What the body leaves out takes the default, not the value in force.
	body := newSettings(autopilot.Default())
	if err := r.DecodeBody(body, false); err != nil {
		return nil, err
	}
	config, err := body.config()
	if err != nil {
		return nil, err
	}
	change := &autopilot.Change{Config: config}
	if r.Has("cas") {
		change.CAS = true
		if change.Index, err = strconv.ParseUint(r.Query.Get("cas"), 10, 64); err != nil {
			return nil, failure.Newf(failure.BadRequest, "Error parsing cas value: %w", err)
		}
	}
	stored, err := a.Applier.Apply(ctx, autopilot.TypeChange, change)
	if err != nil {
		return nil, err
	}
	return &httpapi.Response{Body: stored}, nil
}

// serverHealth is a server in the answer about the health.
type serverHealth struct {
	ID          string
	Name        string
	Address     string
	SerfStatus  string
	Version     string
	Leader      bool
	LastContact duration
	LastTerm    uint64
	LastIndex   uint64
	Healthy     bool
	Voter       bool
	StableSince time.Time
}

func (a *API) health(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Read); err != nil {
		return nil, err
	}
	h, err := a.Health(ctx)
	if err != nil {
		return nil, err
	}
	body := struct {
		Healthy          bool
		FailureTolerance int
		Servers          []serverHealth
	}{h.Healthy, h.FailureTolerance, make([]serverHealth, 0, len(h.Servers))}
	for _, s := range h.Servers {
		body.Servers = append(body.Servers, serverHealth{
			ID: s.ID, Name: s.Name, Address: s.Address, SerfStatus: s.NodeStatus, Version: s.Version,
			Leader: s.Leader, LastContact: duration(s.LastContact), LastTerm: s.LastTerm, LastIndex: s.LastIndex,
			Healthy: s.Healthy, Voter: s.Voter, StableSince: s.StableSince.UTC(),
		})
	}
	resp := &httpapi.Response{Body: body}
	if !h.Healthy {
		resp.Status = http.StatusTooManyRequests
	}
	return resp, nil
}

// serverState is a server in the answer about the state.
type serverState struct {
	ID          string
	Name        string
	Address     string
	NodeStatus  string
	Version     string
	LastContact duration
	LastTerm    uint64
	LastIndex   uint64
	Healthy     bool
	StableSince time.Time
	ReadReplica bool
	Status      string
	Meta        map[string]string
	NodeType    string
}

func (a *API) state(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Read); err != nil {
		return nil, err
	}
	h, err := a.Health(ctx)
	if err != nil {
		return nil, err
	}
	body := struct {
		Healthy                    bool
		FailureTolerance           int
		OptimisticFailureTolerance int // as if spare servers could be counted on; there are none
		Servers                    map[string]serverState
		Leader                     string
		Voters                     []string
	}{h.Healthy, h.FailureTolerance, h.FailureTolerance, make(map[string]serverState), h.Leader, append([]string{}, h.Voters...)}
	known := a.known()
	for _, s := range h.Servers {
		row := serverState{
			ID: s.ID, Name: s.Name, Address: s.Address, NodeStatus: s.NodeStatus, Version: s.Version,
			LastContact: duration(s.LastContact), LastTerm: s.LastTerm, LastIndex: s.LastIndex,
			Healthy: s.Healthy, StableSince: s.StableSince.UTC(), Status: s.Status, Meta: s.Meta,
			ReadReplica: known[s.ID].NonVoter, NodeType: "voter",
		}
		if row.ReadReplica {
			row.NodeType = "read-replica"
		}
		body.Servers[s.ID] = row
	}
	return &httpapi.Response{Body: body}, nil
}
