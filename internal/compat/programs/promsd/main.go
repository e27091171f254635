// Command promsd is Prometheus' discovery without the rest of Prometheus: it
// reads a configuration of scrape_configs with consul_sd_configs and
// relabel_configs, runs them with Prometheus' own code, and prints what would be
// scraped, a line of JSON each time that may have changed.
//
// Debian builds its Prometheus without this discovery, so the tests cannot use
// that.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/consul"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v2"
)

// job is a scrape configuration, as far as it is about discovery.
type job struct {
	Name    string             `yaml:"job_name"`
	Consul  []*consul.SDConfig `yaml:"consul_sd_configs"`
	Relabel []*relabel.Config  `yaml:"relabel_configs"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "promsd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: promsd FILE")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var conf struct {
		Jobs []job `yaml:"scrape_configs"`
	}
	if err := yaml.UnmarshalStrict(text, &conf); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if len(conf.Jobs) != 1 || len(conf.Jobs[0].Consul) != 1 {
		return fmt.Errorf("%s: want one job with one consul_sd_configs, to show which targets are whose", args[0])
	}
	j := conf.Jobs[0]
	for _, rule := range j.Relabel {
		rule.NameValidationScheme = model.UTF8Validation
		if err := rule.Validate(model.UTF8Validation); err != nil {
			return err
		}
	}
	registry := prometheus.NewRegistry()
	metrics := j.Consul[0].NewDiscovererMetrics(registry, discovery.NewRefreshMetrics(registry))
	if err := metrics.Register(); err != nil {
		return err
	}
	d, err := j.Consul[0].NewDiscoverer(discovery.DiscovererOptions{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Metrics: metrics})
	if err != nil {
		return err
	}
	updates := make(chan []*targetgroup.Group)
	go d.Run(ctx, updates) // ends with ctx, as the process does
	return j.follow(ctx, updates)
}

// follow prints the targets with each update.
func (j job) follow(ctx context.Context, updates <-chan []*targetgroup.Group) error {
	groups := map[string]*targetgroup.Group{}
	out := json.NewEncoder(os.Stdout)
	for {
		select {
		case <-ctx.Done():
			return nil
		case list := <-updates:
			for _, g := range list {
				if g != nil {
					groups[g.Source] = g
				}
			}
		}
		targets := []map[string]string{}
		for _, g := range groups {
			for _, t := range g.Targets {
				if l, keep := j.target(g, t); keep {
					targets = append(targets, l)
				}
			}
		}
		if err := out.Encode(targets); err != nil {
			return err
		}
	}
}

// target makes the labels of a target as Prometheus does: what the job says,
// what was discovered, and then the job's rules.
func (j job) target(g *targetgroup.Group, t model.LabelSet) (map[string]string, bool) {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set(model.JobLabel, j.Name)
	b.Set(model.MetricsPathLabel, "/metrics")
	b.Set(model.SchemeLabel, "http")
	for _, set := range []model.LabelSet{g.Labels, t} {
		for name, value := range set {
			b.Set(string(name), string(value))
		}
	}
	keep := relabel.ProcessBuilder(b, j.Relabel...)
	return b.Labels().Map(), keep
}
