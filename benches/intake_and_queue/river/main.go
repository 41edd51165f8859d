// Measures how long River, with its default settings, takes from the commit of a job to the first line of its worker.
//
// Prints one JSON object. The client that inserts and the one that works are one, as River's own examples have it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Jobs before the measured ones: connections, plans and the leader's election are behind us then.
const (
	warmUp         = 20
	warmUpInterval = 20 * time.Millisecond
)

// Longest wait for a job that was inserted.
const deadline = 10 * time.Second

type pickUp struct {
	Number int `json:"number"`
}

func (pickUp) Kind() string { return "pick_up" }

type start struct {
	number int
	at     time.Time
}

type worker struct {
	river.WorkerDefaults[pickUp]
	starts chan<- start
}

func (worker *worker) Work(_ context.Context, job *river.Job[pickUp]) error {
	worker.starts <- start{number: job.Args.Number, at: time.Now()}
	return nil
}

type measured struct {
	River        string    `json:"river"`
	Go           string    `json:"go"`
	Milliseconds []float64 `json:"milliseconds"`
}

func main() {
	url := flag.String("database-url", "", "where River keeps its tables")
	jobs := flag.Int("jobs", 200, "jobs to measure")
	interval := flag.Duration("interval", 20*time.Millisecond, "time from one insert to the next")
	flag.Parse()
	found, err := measure(context.Background(), *url, *jobs, *interval)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, url string, jobs int, interval time.Duration) (*measured, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("failed to connect to PostgreSQL: %w", err)
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return nil, fmt.Errorf("failed to prepare River's migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("failed to make River's tables: %w", err)
	}

	starts := make(chan start, warmUp+jobs)
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{starts: starts})
	// Everything that has a default keeps it; the queue and its size must be named, as in River's first example.
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}},
		Workers: workers,
	})
	if err != nil {
		return nil, fmt.Errorf("failed to set River up: %w", err)
	}
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("failed to start River: %w", err)
	}
	if _, err := play(ctx, client, starts, warmUp, warmUpInterval); err != nil {
		return nil, err
	}
	milliseconds, err := play(ctx, client, starts, jobs, interval)
	if err != nil {
		return nil, err
	}
	if err := client.Stop(ctx); err != nil {
		return nil, fmt.Errorf("failed to stop River: %w", err)
	}
	return &measured{River: riverVersion(), Go: goVersion(), Milliseconds: milliseconds}, nil
}

// Inserts at a steady pace, whatever becomes of the jobs before, and then waits for their starts.
func play(ctx context.Context, client *river.Client[pgx.Tx], starts <-chan start, jobs int, interval time.Duration) ([]float64, error) {
	committed := make([]time.Time, jobs)
	pace := time.NewTicker(interval)
	defer pace.Stop()
	for number := range jobs {
		<-pace.C
		if _, err := client.Insert(ctx, pickUp{Number: number}, nil); err != nil {
			return nil, fmt.Errorf("failed to insert a job: %w", err)
		}
		committed[number] = time.Now()
	}
	milliseconds := make([]float64, 0, jobs)
	limit := time.After(deadline)
	for range jobs {
		select {
		case started := <-starts:
			milliseconds = append(milliseconds, float64(started.at.Sub(committed[started.number]))/float64(time.Millisecond))
		case <-limit:
			return nil, fmt.Errorf("failed to see every job start: %d of %d did", len(milliseconds), jobs)
		}
	}
	return milliseconds, nil
}

func riverVersion() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/riverqueue/river" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func goVersion() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		return build.GoVersion
	}
	return "unknown"
}
