package agent

import (
	"slices"
	"testing"

	"github.com/ctl-sh/ctl/internal/agentapi"
	"github.com/ctl-sh/ctl/internal/agentapi/connectapi"
	"github.com/ctl-sh/ctl/internal/agentapi/serviceapi"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// TestRoutesFitTogether builds the route table of an agent: no two edges claim
// the same path.
func TestRoutesFitTogether(t *testing.T) {
	routes := slices.Concat((&clientRole{}).routes(), (&agentapi.API{}).Routes(), (&connectapi.API{}).Routes(), (&serviceapi.API{}).Routes())
	if _, err := httpapi.NewMux(httpapi.Config{Routes: routes}); err != nil {
		t.Error(err)
	}
}
