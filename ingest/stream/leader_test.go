package stream

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"
)

// Of several processes one leads, and when it goes another does, with what the first
// did ended before.
func TestLeader(t *testing.T) {
	cfg := kafka(t)
	leader := Leader{Group: "leader-" + cfg.ControlTopic, Topic: cfg.ControlTopic}
	var leading atomic.Int32
	began := make(chan int, 2)
	stop, done := [2]context.CancelFunc{}, [2]chan struct{}{}
	for i := range stop {
		ctx, cancel := context.WithCancel(t.Context())
		stop[i], done[i] = cancel, make(chan struct{})
		go func() {
			defer close(done[i])
			err := leader.Run(ctx, cfg, zaptest.NewLogger(t), nil, func(ctx context.Context) {
				if n := leading.Add(1); n != 1 {
					t.Errorf("%d lead", n)
				}
				began <- i
				<-ctx.Done()
				leading.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		}()
	}
	next := func() int {
		select {
		case i := <-began:
			return i
		case <-time.After(30 * time.Second):
			t.Fatal("nobody leads")
			return -1
		}
	}
	first := next()
	stop[first]()
	<-done[first]
	second := next()
	if second == first {
		t.Errorf("%d leads, which has ended", second)
	}
	stop[second]()
	<-done[second]
	if n := leading.Load(); n != 0 {
		t.Errorf("%d lead after the end", n)
	}
}
