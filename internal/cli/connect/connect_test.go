package connect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

type answers = map[string]clitest.Answer

const (
	configPath = "/v1/connect/ca/configuration"
	rootsPath  = "/v1/connect/ca/roots"
	config     = `{"Provider":"consul","Config":{"LeafCertTTL":"72h"},"State":null,"ForceWithoutCrossSigning":false,"CreateIndex":5,"ModifyIndex":7}`
)

func TestConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad, empty := file("good.json", config), file("bad.json", "{"), file("empty.json", "{}")
	misspelt := file("misspelt.json", `{"Provider":"consul","Confg":{"LeafCertTTL":"72h"}}`)
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "get-config", Args: "connect ca get-config", Answers: answers{"GET " + configPath: {Body: config}},
			Out: "{\n\t\"Provider\": \"consul\",\n\t\"Config\": {\n\t\t\"LeafCertTTL\": \"72h\"\n\t},\n\t\"State\": null,\n\t\"ForceWithoutCrossSigning\": false,\n\t\"CreateIndex\": 5,\n\t\"ModifyIndex\": 7\n}\n",
		},
		{
			Name: "get-config refused", Args: "connect ca get-config", Code: 1, Answers: answers{"GET " + configPath: {Status: 500, Body: "Connect must be enabled in order to use this endpoint"}},
			Err: "Error querying CA configuration: Unexpected response code: 500 (Connect must be enabled in order to use this endpoint)\n",
		},
		{Name: "set-config", Args: "connect ca set-config -config-file " + good, Answers: answers{"PUT " + configPath: {}}, Out: "Configuration updated!\n"},
		{Name: "set-config of standard input", Args: "connect ca set-config -config-file -", In: config, Answers: answers{"PUT " + configPath: {}}, Out: "Configuration updated!\n"},
		{
			Name: "set-config refused", Args: "connect ca set-config -config-file " + good, Code: 1, Answers: answers{"PUT " + configPath: {Status: 500, Body: "no"}},
			Err: "Error setting CA configuration: Unexpected response code: 500 (no)\n",
		},
		{Name: "set-config of nothing", Args: "connect ca set-config", Code: 1, Err: "The -config-file flag is required\n"},
		{Name: "set-config of no JSON", Args: "connect ca set-config -config-file " + bad, Code: 1, Err: "Error parsing config file " + bad + ": unexpected end of JSON input\n"},
		{Name: "set-config with a misspelt member", Args: "connect ca set-config -config-file " + misspelt, Code: 1, Err: "Error parsing config file " + misspelt + ": unknown field \"Confg\"; known are Provider, Config, State and ForceWithoutCrossSigning\n"},
		{Name: "set-config of no provider", Args: "connect ca set-config -config-file " + empty, Code: 1, Err: "Error parsing config file " + empty + ": it has no Provider; write \"Provider\": \"consul\"\n"},
		{Name: "set-config of no file", Args: "connect ca set-config -config-file " + dir + "/none", Code: 1, Err: "Error reading config file: open " + dir + "/none: no such file or directory\n"},
		{
			Name: "rotate at servers that cannot", Args: "connect ca rotate", Code: 1,
			Answers: answers{"GET " + configPath: {Body: config}, "GET " + rootsPath: {Body: `{"ActiveRootID":"a"}`}, "PUT " + configPath: {}},
			Err:     "Error rotating the root certificate: the root is the same as before: the servers are not ctl's; change PrivateKeyType or PrivateKeyBits with set-config instead\n",
		},
	})
}

func TestWhatIsSent(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"connect ca rotate", `{"Provider":"consul","Config":{"LeafCertTTL":"72h"},"ForceWithoutCrossSigning":false,"Rotate":true}`},
		{"connect ca rotate -force-without-cross-signing", `{"Provider":"consul","Config":{"LeafCertTTL":"72h"},"ForceWithoutCrossSigning":true,"Rotate":true}`},
		{"connect ca set-config -force-without-cross-signing -config-file -", `"ForceWithoutCrossSigning":true`},
	} {
		agent := clitest.NewAgent(t, answers{"GET " + configPath: {Body: config}, "GET " + rootsPath: {Body: `{"ActiveRootID":"a"}`}, "PUT " + configPath: {}})
		clitest.Do(t, NewCommand, clitest.Run{Args: strings.Fields(c.args), In: config, Agent: agent})
		sent := ""
		for _, r := range agent.Requests() {
			if strings.HasPrefix(r.Line, "PUT") {
				sent = r.Body
			}
		}
		if !strings.Contains(sent, c.want) {
			t.Errorf("%s sends %s, want %s", c.args, sent, c.want)
		}
	}
}
