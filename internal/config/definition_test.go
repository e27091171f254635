package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefinitions(t *testing.T) {
	const web = `{"check":{"header":{"X-A":["1"]},"http":"http://[::1]:80","interval":"10s"},"meta":{"A":"b"},"name":"web","port":80,` +
		`"tagged_addresses":{"lan":{"address":"10.0.0.1","port":81}},"tags":["a"],"weights":{"passing":2}}`
	tests := []struct {
		name, file, text string
		services, checks []string
	}{
		{
			name: "JSON, both spellings", file: "a.json", text: `{"service":` + web + `,"services":[{"name":"db"}],"check":{"name":"c","ttl":"1s"}}`,
			services: []string{web, `{"name":"db"}`}, checks: []string{`{"name":"c","ttl":"1s"}`},
		},
		{
			name: "HCL blocks", file: "a.hcl",
			text: `service {
  name = "web"
  port = 80
  tags = ["a"]
  meta { A = "b" }
  weights { passing = 2 }
  tagged_addresses { lan { address = "10.0.0.1" port = 81 } }
  check { http = "http://[::1]:80" interval = "10s" header { X-A = ["1"] } }
}
services { name = "db" }
services { name = "kv" checks { tcp = ":1" interval = "1s" } checks { ttl = "2s" } }`,
			services: []string{web, `{"name":"db"}`, `{"checks":[{"interval":"1s","tcp":":1"},{"ttl":"2s"}],"name":"kv"}`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, warnings, err := Load(Input{Sources: []Source{{Name: test.file, Data: []byte(test.text)}}})
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) > 0 {
				t.Errorf("warnings: %v", warnings)
			}
			texts := func(list []Definition) (out []string) {
				for _, d := range list {
					if d.At.Line == 0 {
						t.Errorf("%s: no place", d.JSON)
					}
					out = append(out, d.JSON)
				}
				return out
			}
			// The order of single and many follows the file.
			if d := cmp.Diff(texts(c.Services), test.services); d != "" {
				t.Errorf("services, got - want +:\n%s", d)
			}
			if d := cmp.Diff(texts(c.Checks), test.checks); d != "" {
				t.Errorf("checks, got - want +:\n%s", d)
			}
		})
	}
}

func TestDefinitionFaults(t *testing.T) {
	for _, text := range []string{
		`{"service":{"nme":"web"}}`, `{"services":[{"name":7}]}`, `{"services":{"name":"web"},"x":1}`,
		`{"service":{"name":"web","check":{"interval":10}}}`, `{"check_output_max_size":0}`,
	} {
		if c, _, err := Load(Input{Sources: []Source{{Name: "a.json", Data: []byte(text)}}}); err == nil {
			t.Errorf("%s: accepted as %v", text, c.Services)
		}
	}
}

func TestDefinitionsAreRedacted(t *testing.T) {
	c, _, err := Load(Input{Sources: []Source{{Name: "a.json", Data: []byte(`{"service":{"name":"web","token":"s3cret","check":{"ttl":"1s","token":"s3cret","header":{"A":["s3cret"]}}}}`)}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []any{map[string]any{"name": "web", "token": "hidden", "check": map[string]any{"ttl": "1s", "token": "hidden", "header": "hidden"}}}
	if d := cmp.Diff(c.Redacted()["Services"], any(want)); d != "" {
		t.Errorf("got - want +:\n%s", d)
	}
}
