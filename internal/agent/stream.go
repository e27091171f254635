package agent

import (
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/logging"
)

// streamView is the agent as its change stream sees it. It implements
// changesapi.Local.
type streamView struct{ a *Agent }

// Datacenter implements changesapi.Local.
func (v streamView) Datacenter() string { return v.a.rt.Load().Datacenter }

// Members implements changesapi.Local.
func (v streamView) Members(wan bool) ([]gossip.Member, <-chan struct{}) {
	p := v.a.lan
	if wan {
		p = v.a.wan
	}
	if p == nil {
		return nil, nil
	}
	_, changed := p.Changes().Watch()
	return p.Members(), changed
}

// Subscribe implements changesapi.Local.
func (v streamView) Subscribe(level string, json bool) (*logging.Subscription, error) {
	return v.a.cfg.Logs.Subscribe(level, json)
}
