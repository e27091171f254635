package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// notYet lists the commands of Consul that have been missing here, a group as
// one. It is only asked about names that no command has, so an entry whose
// command is there by now does no harm.
const notYet = `acl
config delete
config list
config read
config write
connect envoy
connect expose
connect proxy
connect redirect-traffic
event
exec
intention
lock
login
logout
operator usage
peering
resource
services export
services exported-services
snapshot
troubleshoot
`

// ofConsul reports whether name below parent is a command of Consul's.
func ofConsul(parent *cobra.Command, name string) bool {
	_, path, _ := strings.Cut(parent.CommandPath(), " ")
	path = strings.TrimSpace(path + " " + name)
	for known := range strings.Lines(notYet) {
		if strings.TrimSuffix(known, "\n") == path {
			return true
		}
	}
	return false
}

// unknownCommand says that parent has no command of the name, and what may have
// been meant. A command of Consul is not taken for a mistyped one: who types it
// must learn that nothing of the kind will be done.
func unknownCommand(parent *cobra.Command, name string) string {
	if ofConsul(parent, name) {
		return "; Consul has it, this version of " + parent.Root().Name() + " does not yet. Nothing was done"
	}
	return suggestCommand(parent, name)
}
