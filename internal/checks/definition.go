package checks

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Health states of a check.
const (
	Passing  = "passing"
	Warning  = "warning"
	Critical = "critical"
)

// ValidStatus reports whether s is a health state a check may have.
func ValidStatus(s string) bool { return s == Passing || s == Warning || s == Critical }

// Duration is a time.Duration that JSON gives as a text such as "10s" or as a
// number of nanoseconds.
type Duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' {
		var n int64
		if err := json.Unmarshal(b, &n); err != nil {
			return err
		}
		*d = Duration(n)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil || s == "" {
		return err
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Definition is a check as it is registered, over HTTP or in a configuration
// file. The zero value of a field is its default. Decode reads all spellings of
// its names.
type Definition struct {
	ID                             string              `json:",omitempty"`
	CheckID                        string              `json:",omitempty"`
	Name                           string              `json:",omitempty"`
	Notes                          string              `json:",omitempty"`
	ServiceID                      string              `json:",omitempty"`
	Token                          string              `json:",omitempty"`
	Status                         string              `json:",omitempty"`
	ScriptArgs                     []string            `json:",omitempty"`
	Args                           []string            `json:",omitempty"`
	HTTP                           string              `json:",omitempty"`
	H2PING                         string              `json:",omitempty"`
	H2PingUseTLS                   *bool               `json:",omitempty"`
	Header                         map[string][]string `json:",omitempty"`
	Method                         string              `json:",omitempty"`
	Body                           string              `json:",omitempty"`
	DisableRedirects               bool                `json:",omitempty"`
	TCP                            string              `json:",omitempty"`
	TCPUseTLS                      bool                `json:",omitempty"`
	UDP                            string              `json:",omitempty"`
	Interval                       Duration            `json:",omitzero"`
	DockerContainerID              string              `json:",omitempty"`
	Shell                          string              `json:",omitempty"`
	GRPC                           string              `json:",omitempty"`
	GRPCUseTLS                     bool                `json:",omitempty"`
	OSService                      string              `json:",omitempty"`
	TLSServerName                  string              `json:",omitempty"`
	TLSSkipVerify                  bool                `json:",omitempty"`
	AliasNode                      string              `json:",omitempty"`
	AliasService                   string              `json:",omitempty"`
	Timeout                        Duration            `json:",omitzero"`
	TTL                            Duration            `json:",omitzero"`
	SuccessBeforePassing           int                 `json:",omitempty"`
	FailuresBeforeWarning          int                 `json:",omitempty"`
	FailuresBeforeCritical         int                 `json:",omitempty"`
	DeregisterCriticalServiceAfter Duration            `json:",omitzero"`
	OutputMaxSize                  int                 `json:",omitempty"`
	ProxyHTTP                      string              `json:",omitempty"`
	ProxyGRPC                      string              `json:",omitempty"`
	Namespace                      string              `json:",omitempty"`
	Partition                      string              `json:",omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler: see Decode.
func (d *Definition) UnmarshalJSON(b []byte) error {
	type plain Definition
	if err := Decode(b, (*plain)(d)); err != nil {
		return err
	}
	if len(d.Args) > 0 {
		d.ScriptArgs, d.Args = d.Args, nil
	}
	return nil
}

// Empty reports whether nothing is set.
func (d *Definition) Empty() bool { return reflect.DeepEqual(d, &Definition{}) }

// Key returns the id the definition names, "" for none.
func (d *Definition) Key() string {
	if d.ID != "" {
		return d.ID
	}
	return d.CheckID
}

// Kind is what a check does, by the name the public API has for it.
type Kind string

// The kinds.
const (
	TTL       Kind = "ttl"
	HTTP      Kind = "http"
	TCP       Kind = "tcp"
	UDP       Kind = "udp"
	GRPC      Kind = "grpc"
	Docker    Kind = "docker"
	OSService Kind = "os_service"
	Script    Kind = "script"
	H2Ping    Kind = "h2ping"
	Alias     Kind = "alias"
)

// kinds returns every kind the definition asks for.
func (d *Definition) kinds() []Kind {
	var list []Kind
	for _, k := range []struct {
		kind Kind
		set  bool
	}{
		{TTL, d.TTL != 0},
		{HTTP, d.HTTP != ""},
		{TCP, d.TCP != ""},
		{UDP, d.UDP != ""},
		{GRPC, d.GRPC != ""},
		{Docker, d.DockerContainerID != "" && len(d.ScriptArgs) > 0},
		{OSService, d.OSService != ""},
		{Script, d.DockerContainerID == "" && len(d.ScriptArgs) > 0},
		{H2Ping, d.H2PING != ""},
		{Alias, d.AliasNode != "" || d.AliasService != ""},
	} {
		if k.set {
			list = append(list, k.kind)
		}
	}
	return list
}

// Kind returns what the check does; "" for a definition that Validate refuses.
func (d *Definition) Kind() Kind {
	if k := d.kinds(); len(k) > 0 {
		return k[0]
	}
	return ""
}

// Runs reports whether the check runs a program, here or in a container.
func (d *Definition) Runs() bool { return len(d.ScriptArgs) > 0 }

// Validate says what is wrong with the definition. The texts are those clients
// know, but for definitions of several kinds, which are refused here because
// all but one would be forgotten.
func (d *Definition) Validate() error {
	kinds := d.kinds()
	probe := slices.ContainsFunc(kinds, func(k Kind) bool { return k != TTL && k != Alias })
	alias := slices.Contains(kinds, Alias)
	switch {
	case alias && !probe && d.Interval != 0:
		return errors.New("Interval cannot be set for Alias checks") //nolint:staticcheck // Consul's text
	case alias && !probe && d.TTL != 0:
		return errors.New("TTL must be not be set for Alias checks") // Consul's text
	case d.Interval != 0 && d.TTL != 0:
		return errors.New("Interval and TTL cannot both be specified") //nolint:staticcheck // Consul's text
	case probe && d.Interval <= 0:
		return errors.New("Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks") //nolint:staticcheck // Consul's text
	case !probe && !alias && d.TTL <= 0:
		return errors.New("TTL must be > 0 for TTL checks") // Consul's text
	case len(kinds) > 1:
		return fmt.Errorf("a check does one thing, this one asks for %s", names(kinds))
	case d.OutputMaxSize < 0:
		return errors.New("MaxOutputMaxSize must be positive") // Consul's text
	case d.FailuresBeforeWarning > d.FailuresBeforeCritical:
		return errors.New("FailuresBeforeWarning can't be higher than FailuresBeforeCritical") // Consul's text
	case d.Timeout < 0, d.DeregisterCriticalServiceAfter < 0, d.SuccessBeforePassing < 0, d.FailuresBeforeWarning < 0:
		return errors.New("a duration or a number of results is negative")
	}
	return nil
}

func names(kinds []Kind) string {
	texts := make([]string, len(kinds))
	for i, k := range kinds {
		texts[i] = string(k)
	}
	return strings.Join(texts, " and ")
}

// minInterval keeps a check from running all the time.
const minInterval = time.Second

// every returns the pause between runs.
func (d *Definition) every() time.Duration { return max(time.Duration(d.Interval), minInterval) }

// limit returns how long a run may take.
func (d *Definition) limit() time.Duration {
	switch k := d.Kind(); {
	case d.Timeout > 0:
		return time.Duration(d.Timeout)
	case k == Script || k == Docker:
		return 30 * time.Second
	case k == Alias:
		return 2 * aliasWait // it waits for a change
	default:
		return 10 * time.Second
	}
}

// Intervals returns interval and time limit as the public check row has them.
func (d *Definition) Intervals() (interval, timeout string) {
	if d.Interval != 0 {
		timeout = time.Duration(d.Timeout).String()
		if d.Timeout == 0 {
			timeout = d.limit().String()
		}
		return time.Duration(d.Interval).String(), timeout
	}
	return "0s", "0s"
}
