// Package declared reads the services and checks that configuration files
// declare, as the agent takes them in.
//
// Package config has checked their keys and the types of values; here is what
// they mean, and whether they go together. All that is wrong is reported, with
// its place, so that a file can be checked without an agent. What only an agent
// knows is not for this package: whether a check's service was registered over
// HTTP, say.
package declared

import (
	"fmt"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/local"
)

// Definitions are the services and checks of the configuration files, with
// defaults filled in.
type Definitions struct {
	Services []*local.ServiceDefinition
	Checks   []*checks.Definition
}

const errScripts = "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or 'enable_local_script_checks' to true"

// Read reads what c declares. Its error is config.Problems: all that is wrong, in
// the order of the sources, services first. A sidecar is left out: the
// configuration warned of it.
func Read(c *config.Config) (Definitions, error) {
	r := reading{scripts: c.EnableLocalScriptChecks, services: places{}, checks: places{}}
	for _, from := range c.Services {
		r.service(from)
	}
	for _, from := range c.Checks {
		r.check(from)
	}
	if len(r.problems) > 0 {
		return Definitions{}, r.problems
	}
	return r.definitions, nil
}

// places tells where an id was declared first.
type places map[string]config.Origin

type reading struct {
	scripts          bool // programs may be run
	definitions      Definitions
	services, checks places
	problems         config.Problems
}

func (r *reading) problem(at config.Origin, key, do, what string) {
	r.problems = append(r.problems, config.Problem{Where: at, Key: key, What: what, Do: do})
}

// once reports the second declaration of an id. In Consul it replaces the first
// without a word, and a service is left without its check.
func (r *reading) once(seen places, at config.Origin, key, what, id string) {
	if first, twice := seen[id]; twice {
		r.problem(at, key, "give one of them another id", fmt.Sprintf("%s id %q is declared twice, first at %s", what, id, first))
		return
	}
	seen[id] = at
}

func (r *reading) service(from config.Definition) {
	const key = "service"
	def, err := local.ParseService([]byte(from.JSON))
	if err != nil {
		r.problem(from.At, key, "", err.Error())
		return
	}
	if def.Connect != nil {
		def.Connect.SidecarService = nil
	}
	if def.RunsProgram() && !r.scripts {
		r.problem(from.At, key, "", errScripts)
		return
	}
	if err := def.Validate(); err != nil {
		r.problem(from.At, key, "", err.Error())
		return
	}
	r.once(r.services, from.At, key, "service", def.ID)
	for _, id := range def.CheckIDs() {
		r.once(r.checks, from.At, key, "check", id)
	}
	r.definitions.Services = append(r.definitions.Services, def)
}

func (r *reading) check(from config.Definition) {
	const key = "check"
	def, err := local.ParseCheck([]byte(from.JSON))
	if err != nil {
		r.problem(from.At, key, "", err.Error())
		return
	}
	if def.Runs() && !r.scripts {
		r.problem(from.At, key, "", errScripts)
		return
	}
	if err := local.ValidateCheck(def); err != nil {
		r.problem(from.At, key, "", err.Error())
		return
	}
	r.once(r.checks, from.At, key, "check", def.ID)
	r.definitions.Checks = append(r.definitions.Checks, def)
}
