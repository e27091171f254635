package services

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/config"
)

// definition is a service as a command sends it.
type definition struct {
	ID, Name string
	json     []byte
}

// key is what the agent calls the service.
func (d *definition) key() string {
	if d.ID != "" {
		return d.ID
	}
	return d.Name
}

// services names what list holds, for people.
func services(list []*definition) string {
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.key()
	}
	if len(names) == 1 {
		return "service " + names[0]
	}
	return "services " + strings.Join(names, ", ")
}

// definitions reads the services of files, in order.
func definitions(f *cli.Factory, paths []string) ([]*definition, error) {
	var list []*definition
	for _, path := range paths {
		more, err := read(f, path)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			return nil, fmt.Errorf("%s defines no service", path)
		}
		list = append(list, more...)
	}
	return list, nil
}

func read(f *cli.Factory, path string) ([]*definition, error) {
	var sources []config.Source
	if path == "-" {
		data, err := f.ReadData(path)
		if err != nil {
			return nil, err
		}
		sources = []config.Source{{Name: "standard input", Format: "json", Data: data}}
	} else {
		var err error
		if sources, _, err = config.ReadSources(config.OSFiles{}, []string{path}, ""); err != nil {
			return nil, err
		}
	}
	c, warnings, err := config.Load(config.Input{Sources: sources})
	for _, w := range warnings {
		fmt.Fprintln(f.Streams.Err, w)
	}
	if err != nil {
		return nil, err
	}
	var list []*definition
	for _, d := range c.Services {
		s := &definition{json: []byte(d.JSON)}
		if err := json.Unmarshal(s.json, s); err != nil {
			return nil, fmt.Errorf("%s: %w", d.At, err)
		}
		if s.Name == "" {
			return nil, fmt.Errorf("%s: a service needs a name", d.At)
		}
		list = append(list, s)
	}
	return list, nil
}

// fromFlags is the service that flags describe.
func (o *registerOptions) fromFlags() ([]*definition, error) {
	if o.name == "" {
		return nil, errors.New("service registration requires at least -name, or a file")
	}
	if _, _, err := net.SplitHostPort(o.address); err == nil {
		return nil, fmt.Errorf("Invalid Service address %q: it carries a port. Use -port flag instead", o.address) //nolint:staticcheck // Consul's text
	}
	body := map[string]any{"Name": o.name}
	for key, value := range map[string]string{"ID": o.id, "Kind": o.kind, "Address": o.address, "SocketPath": o.socket} {
		if value != "" {
			body[key] = value
		}
	}
	if o.port != 0 {
		body["Port"] = o.port
	}
	if len(o.tags) > 0 {
		body["Tags"] = o.tags
	}
	meta, err := pairs("-meta", o.meta)
	if err != nil {
		return nil, err
	}
	if len(meta) > 0 {
		body["Meta"] = meta
	}
	tagged, err := o.taggedAddresses()
	if err != nil {
		return nil, err
	}
	if len(tagged) > 0 {
		body["TaggedAddresses"] = tagged
	}
	b, err := json.Marshal(body)
	return []*definition{{ID: o.id, Name: o.name, json: b}}, err
}

func pairs(flag string, texts []string) (map[string]string, error) {
	m := map[string]string{}
	for _, t := range texts {
		k, v, ok := strings.Cut(t, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%s %q is not KEY=VALUE", flag, t)
		}
		m[k] = v
	}
	return m, nil
}

type taggedAddress struct {
	Address string
	Port    int
}

// taggedAddresses reads name=ip or name=ip:port; without a port it is that of
// the service.
func (o *registerOptions) taggedAddresses() (map[string]taggedAddress, error) {
	texts, err := pairs("-tagged-address", o.tagged)
	if err != nil {
		return nil, err
	}
	m := map[string]taggedAddress{}
	for name, text := range texts {
		a := taggedAddress{Address: text, Port: o.port}
		if host, port, err := net.SplitHostPort(text); err == nil {
			n, err := strconv.Atoi(port)
			if err != nil {
				return nil, fmt.Errorf("-tagged-address %s: port %q is no number", name, port)
			}
			a = taggedAddress{Address: host, Port: n}
		}
		m[name] = a
	}
	return m, nil
}
