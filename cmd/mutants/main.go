// Command mutants breaks one rule of the product at a time and requires a test to
// notice: a rule that can be broken unnoticed is not tested. Each mutant is a small
// replacement in a source file that is laid over it at build time; no file of the
// tree is touched. It ends with 1 if a mutant survives, or does not fit the source
// any more.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"text/tabwriter"
	"time"
)

func main() {
	seeds := flag.Int("seeds", 256, "seeds of the simulation that a mutant may survive")
	jobs := flag.Int("jobs", 2, "mutants tested at once")
	only := flag.String("run", "", "regular expression of the mutants to test")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *seeds, *jobs, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1)
	}
}

// run tests the chosen mutants and prints a table of what caught each.
func run(ctx context.Context, seeds, jobs int, only string) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("read -run: %w", err)
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	lab := laboratory{root: ".", dir: dir, seeds: seeds}
	begin := time.Now()
	var chosen []mutant
	for _, m := range mutants {
		if wanted.MatchString(m.rule) {
			chosen = append(chosen, m)
		}
	}
	if err := lab.health(ctx, chosen); err != nil {
		return err
	}
	verdicts := lab.testAll(ctx, chosen, jobs)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MUTANT\tCAUGHT BY\tSEEDS\tTIME")
	survivors := 0
	for i, v := range verdicts {
		if v.err != nil {
			survivors++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%v\n", chosen[i].rule, v.caughtBy(), v.effort(), v.took.Round(100*time.Millisecond))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Printf("%d mutants, %d caught, in %v\n", len(chosen), len(chosen)-survivors, time.Since(begin).Round(time.Second))
	if survivors > 0 {
		return fmt.Errorf("%d mutants were not caught", survivors)
	}
	return ctx.Err()
}

// testAll tests the mutants, some at once, and keeps their order.
func (l laboratory) testAll(ctx context.Context, list []mutant, jobs int) []verdict {
	verdicts := make([]verdict, len(list))
	next := make(chan int)
	var workers sync.WaitGroup
	for range jobs {
		workers.Go(func() {
			for i := range next {
				begin := time.Now()
				verdicts[i] = l.test(ctx, list[i])
				verdicts[i].took = time.Since(begin)
				said := "caught"
				if err := verdicts[i].err; err != nil {
					said = err.Error()
				}
				fmt.Fprintf(os.Stderr, "%s: %s in %v\n", list[i].rule, said, verdicts[i].took.Round(100*time.Millisecond))
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	workers.Wait()
	return verdicts
}
