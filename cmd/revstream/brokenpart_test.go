package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestABrokenPart follows the runbook where a file of ClickHouse's is damaged, as by a
// disk that was full or is failing: the part is found and set aside, and what it had is
// made again from what there is elsewhere.
func TestABrokenPart(t *testing.T) {
	t.Parallel()
	s := startServiceOn(t, t.TempDir(), nil)
	p := startPayer(s.client)
	p.until(s, 300)
	p.finish(s)
	for round, table := range []string{"revenue_daily", "ledger"} {
		broken := s.breakPart(table)
		s.mustSQL("ALTER TABLE " + table + " DETACH PART '" + broken + "'")
		if output := s.revstream(exitDifferences, "check"); !strings.Contains(output, table) {
			t.Errorf("without a part of %s, check says %s", table, output)
		}
		s.revstream(exitOK, "rebuild", table)
		s.revstream(exitOK, "check")
		p = resumePayer(fmt.Sprint("round", round), p, s)
		p.until(s, 100)
		p.finish(s)
	}
	s.stop()
}

// breakPart empties a file of one of the table's parts, and returns the part that
// ClickHouse then finds broken. A part that was merged with others meanwhile is none.
func (s *service) breakPart(table string) (part string) {
	s.t.Helper()
	s.await("a broken part of "+table, 30*time.Second, func() error {
		path := s.mustSQL("SELECT path FROM system.parts WHERE database = currentDatabase() AND table = '" + table + "' AND active ORDER BY rows DESC LIMIT 1")
		files, err := filepath.Glob(filepath.Join(path, "*.cmrk*"))
		if err != nil || len(files) == 0 {
			return fmt.Errorf("%s has no marks: %w", path, err)
		}
		if err := os.Truncate(files[0], 0); err != nil {
			return err
		}
		for _, line := range strings.Split(s.mustSQL("CHECK TABLE "+table), "\n") {
			if fields := strings.Split(line, "\t"); len(fields) > 1 && fields[1] == "0" {
				part = fields[0]
				return nil
			}
		}
		return fmt.Errorf("no part of %s is found broken", table)
	})
	return part
}

// mustSQL runs a statement as the service's own user.
func (s *service) mustSQL(statement string) string {
	s.t.Helper()
	place, err := loadPlaces(s.folder)
	if err != nil {
		s.t.Fatal(err)
	}
	status, answer := s.sqlAs(place.ClickHouseUser, place.ClickHousePasswd, statement)
	if status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", statement, status, answer)
	}
	return answer
}
