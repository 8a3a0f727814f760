package simulation

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// lineInterval is how often progress is told where no bar can be drawn.
const lineInterval = 5 * time.Second

// say tells what is being done.
func (o Options) say(text string) {
	if o.Output != nil {
		fmt.Fprintln(o.Output, text)
	}
}

// progress shows how the sending goes.
type progress struct {
	courier *courier
	output  io.Writer
	bar     *progressbar.ProgressBar
	began   time.Time
	done    chan struct{}
	ended   sync.WaitGroup
}

func newProgress(o Options, c *courier) *progress {
	p := &progress{courier: c, output: o.Output, began: time.Now(), done: make(chan struct{})}
	if p.output == nil {
		return p
	}
	interval := lineInterval
	if o.Terminal {
		interval = 100 * time.Millisecond
		most := int64(o.Events)
		if o.Duration > 0 {
			most = -1 // nobody knows: a spinner
		}
		p.bar = progressbar.NewOptions64(most, progressbar.OptionSetWriter(o.Output), progressbar.OptionSetDescription("sending"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
			progressbar.OptionThrottle(interval), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
	}
	p.ended.Go(func() { p.watch(interval) })
	return p
}

func (p *progress) watch(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			if p.bar != nil {
				_ = p.bar.Finish() // a bar that cannot be drawn is no failure
			}
			return
		case <-ticker.C:
			p.show()
		}
	}
}

func (p *progress) show() {
	events := p.courier.events.Load()
	if p.bar != nil {
		// Stories are told to their end, so there can be some more than asked for.
		if most := p.bar.GetMax64(); most > 0 && events > most {
			p.bar.ChangeMax64(events)
		}
		_ = p.bar.Set64(events)
		return
	}
	fmt.Fprintf(p.output, "%d events sent, %.0f/s, %d attempts repeated\n",
		events, float64(events)/time.Since(p.began).Seconds(), p.courier.retried.Load())
}

func (p *progress) stop() {
	close(p.done)
	p.ended.Wait()
}
