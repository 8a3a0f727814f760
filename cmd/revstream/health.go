package main

import (
	"context"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// dependency is something that a role cannot work without.
type dependency struct {
	name  string
	roles []string
	check func(context.Context) error
}

// readyTimeout bounds all checks of one request to /readyz.
const readyTimeout = 2 * time.Second

// mountHealth serves /healthz (the process runs), /readyz (all that its roles
// depend on answers), /readyz/{role} (what one role depends on: ingest stays
// ready while ClickHouse is down) and /metrics.
func mountHealth(app *fiber.App, dependencies []dependency, registry *prometheus.Registry) {
	app.Get("/healthz", func(c *fiber.Ctx) error {
		return c.JSON(fiber.Map{"status": "ok", "version": version()})
	})
	ready := func(c *fiber.Ctx) error {
		role := c.Params("role")
		wanted := wantedBy(role, dependencies)
		if role != "" && len(wanted) == 0 {
			return fiber.NewError(fiber.StatusNotFound, "this process has no role "+role)
		}
		ctx, cancel := context.WithTimeout(c.Context(), readyTimeout)
		defer cancel()
		states, all := probe(ctx, wanted)
		status := "ready"
		if !all {
			status = "not ready"
			c.Status(fiber.StatusServiceUnavailable)
		}
		return c.JSON(fiber.Map{"status": status, "dependencies": states})
	}
	app.Get("/readyz", ready)
	app.Get("/readyz/:role", ready)
	metrics := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	app.Get("/metrics", func(c *fiber.Ctx) error {
		metrics(c.Context())
		return nil
	})
}

func wantedBy(role string, dependencies []dependency) []dependency {
	if role == "" {
		return dependencies
	}
	var wanted []dependency
	for _, d := range dependencies {
		for _, name := range d.roles {
			if name == role {
				wanted = append(wanted, d)
			}
		}
	}
	return wanted
}

// dependencyState is one line of /readyz.
type dependencyState struct {
	Ready bool     `json:"ready"`
	Roles []string `json:"needed_by"`
	Error string   `json:"error,omitempty"`
}

// probe checks all dependencies at once.
func probe(ctx context.Context, dependencies []dependency) (states map[string]dependencyState, all bool) {
	states, all = make(map[string]dependencyState, len(dependencies)), true
	var lock sync.Mutex
	var group sync.WaitGroup
	for _, d := range dependencies {
		group.Go(func() {
			err := d.check(ctx)
			lock.Lock()
			defer lock.Unlock()
			state := dependencyState{Ready: err == nil, Roles: d.roles}
			if err != nil {
				state.Error, all = err.Error(), false
			}
			states[d.name] = state
		})
	}
	group.Wait()
	return states, all
}

// newRegistry is the process's own registry, with the runtime's metrics in it.
func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
