package checks

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Seen is what an alias looks at: a check of the node or of the service.
type Seen struct {
	Name, Status, Output, ServiceID string
}

// Mirror returns what an alias shows that looks at checks: the worst state, and
// of which.
func Mirror(checks []Seen) (status, output string) {
	if len(checks) == 0 {
		return Passing, "No checks found."
	}
	status, output = Passing, "All checks passing."
	for _, c := range checks {
		if c.Status == Critical || (c.Status == Warning && status == Passing) {
			status, output = c.Status, fmt.Sprintf("Aliased check %q failing: %s", c.Name, c.Output)
		}
		if status == Critical {
			break
		}
	}
	return status, output
}

// aliasWait is how long the catalog is asked to hold an unchanged answer.
const aliasWait = time.Minute

// aliasProbe follows the checks of another node: each run waits for a change.
func (r *Runner) aliasProbe(d *Definition) probe {
	index := "0"
	return func(ctx context.Context) (string, string) {
		if r.cfg.Requester == nil {
			return Critical, "this agent cannot follow other nodes"
		}
		query := url.Values{"index": {index}, "wait": {aliasWait.String()}, "stale": {""}}
		if d.Token != "" {
			query.Set("token", d.Token)
		}
		status, header, answer, err := r.cfg.Requester.Do(ctx, http.MethodGet, "/v1/health/node/"+url.PathEscape(d.AliasNode), query, nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d: %s", status, answer)
		}
		var all, checks []Seen
		if err == nil {
			err = json.Unmarshal(answer, &all)
		}
		if err != nil {
			index = "0"
			return Critical, fmt.Sprintf("Failure checking node %q: %s", d.AliasNode, err)
		}
		index = header.Get("X-Consul-Index")
		for _, c := range all {
			if c.ServiceID == "" || c.ServiceID == d.AliasService {
				checks = append(checks, c)
			}
		}
		return Mirror(checks)
	}
}
