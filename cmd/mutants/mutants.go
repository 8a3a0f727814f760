package main

const (
	sinkLoop     = "ingest/sink/sink.go"
	sinkCommit   = "ingest/sink/commit.go"
	sinkSession  = "ingest/sink/session.go"
	sinkResolve  = "ingest/sink/resolve.go"
	sinkProgress = "ingest/sink/freshness.go"
	storeModel   = "ingest/sink/model_test.go"
	ledger       = "ingest/revenue/ledger.go"
	producer     = "ingest/stream/producer.go"
	consumer     = "ingest/stream/client.go"
)

var (
	takeoverTests = tests("./clickhouse", "TestAnOlderEpochIsRefusedEverywhere|TestAnyOtherEpochIsRefused")
	repairTests   = tests("./clickhouse", "TestEqualiseMendsWhatViewsMissedOrDoubled|TestEqualiseStaysWithinItsScope")
	rollupTests   = tests("./clickhouse", "TestEverySliceHasItsOwnCells|TestEqualiseMendsWhatViewsMissedOrDoubled")
	ledgerTests   = tests("./ingest/revenue", "TestLedger.*|TestAdvance.*|TestDifference.*|TestMovements.*|TestCash.*|TestFold.*")
)

// mutants are all rules that a session of the sink, a row of the ledger or an answer
// depends on, each broken.
var mutants = []mutant{
	// The order of things.
	{"commit after the statements are stored", sinkLoop, []edit{{
		"\tvar both errgroup.Group\n", "\ts.commit(ctx, parts)\n\tvar both errgroup.Group\n"}}, simulation},
	{"commit after the rows are stored", sinkLoop, []edit{{
		"\treturn work, s.insertRows(ctx, work)\n", "\ts.commit(ctx, parts)\n\treturn work, s.insertRows(ctx, work)\n"}}, simulation},
	{"acknowledge after Kafka does", producer, []edit{{
		"return p.clients.judge(client, call.wait(ctx, p.cfg.ProduceTimeout))", "return nil"}}, simulation},
	{"ask all in-sync replicas to acknowledge", producer, []edit{{
		"kgo.RequiredAcks(kgo.AllISRAcks()),", "kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(),"}}, simulation},
	{"what was given back is read again", sinkLoop, []edit{{"\ts.seek(rewind)\n", ""}}, simulation},
	{"the batch that was read ahead is given back too", sinkLoop, []edit{{
		"\t\t\ts.giveBack(err, before, next)\n", "\t\t\ts.giveBack(err, before)\n"}}, simulation},

	// The difference.
	{"what an earlier attempt left counts as held", sinkResolve, []edit{{
		"\tif len(g.held) == 0 {\n", "\tif len(g.held) == 0 || g.part.uncertain() {\n"}}, simulation},
	{"foreign rows are retracted, not repeated", ledger, []edit{{
		"rows = appendSigned(rows, read[i], -n)", "rows = appendSigned(rows, read[i], n)"}}, simulation},
	{"what is cached is forgotten when an outcome is unknown", sinkSession, []edit{{
		"\ts.cache.drop(session.slice)\n", ""}}, simulation},
	{"the filter is filled again when another has written", sinkSession, []edit{{
		"if session.filter == nil || taken.NextOffset > session.filterUntil {", "if session.filter == nil {"}}, tests("./ingest/sink", "TestWhatAnotherWriterStoredIsNotNew")},

	// One writer.
	{"the store fences older epochs (model)", storeModel, []edit{{
		"return epoch != m.data.epochs[slice]", "return false"}}, simulation},
	{"the store fences older epochs", "clickhouse/schema/00003_ledger.sql", []edit{{
		"CHECK epoch = {{.FenceOf \"slice\"}}", "CHECK epoch > 0"}}, takeoverTests},
	{"the statements are fenced as well", "clickhouse/schema/00002_events.sql", []edit{{
		"CHECK epoch = {{.FenceOf \"slice\"}}", "CHECK epoch > 0"}}, takeoverTests},
	{"the fence asks for the epoch, not for one as high", "clickhouse/schema/00003_ledger.sql", []edit{{
		"CHECK epoch = {{", "CHECK epoch >= {{"}}, takeoverTests},
	{"a repair is fenced as well", "clickhouse/sql/scope.sql", []edit{{
		"throwIf(count() != length({slices:Array(UInt16)}), 'fenced')", "throwIf(count() > 1000000, 'fenced')"}}, tests("./clickhouse", "TestARepairIsFencedToo")},
	{"a session that has ended commits nothing", sinkCommit, []edit{{
		"if !session.alive.Load() {", "if false {"}}, tests("./ingest/sink", "TestAnEndedSessionCommitsNothing")},

	// Derived tables.
	{"takeover makes the derived tables equal", sinkLoop, []edit{{
		"if scope, uncertain := work.uncertain(parts); uncertain {", "if scope, uncertain := work.uncertain(parts); uncertain && false {"}}, simulation},
	{"it does so wherever there can be rows", sinkResolve, []edit{{
		"from, to := g.all[i].Span()", "from, to := g.all[i].OccurredAt, g.all[i].OccurredAt"}}, simulation},
	{"the slice is part of a cell's key (model)", storeModel, []edit{{
		"c := cell{table: table, slice: row.Slice, ", "c := cell{table: table, "}}, simulation},
	{"the slice is part of a cell's key", "clickhouse/schema/00004_revenue.sql", []edit{{
		"ORDER BY (workspace, live, hour, currency, kind, provider, recurring, slice)", "ORDER BY (workspace, live, hour, currency, kind, provider, recurring)"}}, rollupTests},
	{"every view takes the rows of its family", "clickhouse/schema/00004_revenue.sql", []edit{{
		"WHERE family IN ('cash', 'lifecycle')", "WHERE family IN ('cash')"}}, tests("./analytics", "TestRandomRanges|TestSummary")},
	{"no derived table is left out of a repair", "clickhouse/repair.go", []edit{{
		`{"mrr_daily", "day", "mrr"}, `, ""}}, repairTests},

	// Where to read from.
	{"a group without offsets begins at the beginning", consumer, []edit{{
		"kgo.ConsumeStartOffset(kgo.NewOffset().AtStart())", "kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd())"}}, tests("./ingest/sink", "TestTwiceAndShuffled")},
	{"an offset that Kafka no longer has is no new beginning", consumer, []edit{{
		"kgo.ConsumeResetOffset(kgo.NoResetOffset())", "kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())"}}, tests("./ingest/sink", "TestRecordsGoneFromKafkaStopTheSink")},
	{"a log that begins later than the store ends is lost", sinkSession, []edit{{
		"session.rewindTo = taken.NextOffset // what lies between was never stored\n", ""}}, tests("./ingest/sink", "TestRecordsGoneFromKafkaStopTheSink")},
	{"a restored store is read from where it has rows", sinkSession, []edit{{
		"session.rewindTo = min(from, taken.NextOffset)", "session.rewindTo = max(from, taken.NextOffset)"}}, tests("./ingest/sink", "TestATornBackupIsReadAgain")},
	{"the group's offset goes back before anything is stored", sinkCommit, []edit{{
		"if again.committed.Load() <= again.rewindTo {", "if true {"}}, tests("./ingest/sink", "TestTheOffsetGoesBackBeforeAnythingIsStored")},
	{"what was read of an old topic is not the new one's", sinkSession, []edit{{
		`if b.topicID != "" && b.topicID != session.topicID {`, "if false {"}}, tests("./ingest/sink", "TestRecordsOfAnotherTopicAreRefused")},
	{"a log that was cut short is read again", "ingest/sink/poll.go", []edit{{
		"\t\tif !session.displaced.Load() {\n", "\t\tif session.displaced.Load() || true {\n"}}, tests("./ingest/sink", "TestALogThatWasCutIsReadAgain")},

	// What can never be stored.
	{"the place of a dead letter is marked", sinkResolve, []edit{{
		"\t\t\t\tw.statements = append(w.statements, gravestone(position, record))\n", "\t\t\t\t_ = gravestone\n"}}, simulation},
	{"what cannot be read is kept before it is passed", sinkResolve, []edit{{
		"\tif err := s.quarantine(ctx, ", "\tif err := (func(context.Context, stream.DeadLetter) error { return nil })(ctx, "}}, simulation},

	// What is said of it.
	{"complete is what is stored", sinkProgress, []edit{{
		"\t\tif session.next >= end {\n", "\t\tif session.next >= 0 {\n"}}, simulation},
	{"an end of another topic says nothing", sinkProgress, []edit{{
		"if !session.owned || seen.ends != nil && seen.topicID != session.topicID {", "if !session.owned {"}}, simulation},

	// The fold.
	{"the higher version stands, not the later one", "ingest/revenue/statement.go", []edit{{
		"\t\treturn s.Version > other.Version\n\t}\n\treturn bytes.Compare(s.digest[:], other.digest[:]) > 0", "\t\treturn s.Version >= other.Version\n\t}\n\treturn true"}}, simulation},
	{"equal versions are told apart by content", "ingest/revenue/statement.go", []edit{{
		"\treturn bytes.Compare(s.digest[:], other.digest[:]) > 0", "\treturn false"}}, simulation},
	{"a deletion takes the movements back", "ingest/revenue/fold.go", []edit{{
		"\t\tif !s.Deleted {\n", "\t\tif !s.Deleted || s.MRR > 0 {\n"}}, simulation},
	{"a row is known when its cause was received", ledger, []edit{{
		"rows = appendDifference(rows, next, believed, knownAt)", "rows = appendDifference(rows, next, believed, statements[0].ReceivedAt)"}}, ledgerTests},
	{"what was known before shows in the figures as of then", ledger, []edit{{
		"rows = appendDifference(rows, next, believed, knownAt)", "rows = appendDifference(rows, next, believed, statements[0].ReceivedAt)"}}, simulation},
	{"a presumed end gives way to the next term", "ingest/revenue/state.go", []edit{{
		"\t\tif s.PresumedEnd {\n", "\t\tif false {\n"}}, ledgerTests},
	{"stated terms win over presumed ones", "ingest/revenue/presumed.go", []edit{{
		"!s.OccurredAt.Before(since)", "s.OccurredAt.Equal(since)"}}, ledgerTests},
	{"list prices decide nothing but what a term is worth", "ingest/revenue/policy.go", []edit{{
		"e.MRR = e.MRRBeforeDiscounts\n\t\t\tvalued[i].Event = &e", "e.MRR = e.MRRBeforeDiscounts\n\t\t\tvalued[i].Event, valued[i].digest = &e, e.Digest()"}},
		tests("./ingest/revenue", "TestRestatedLedger.*|TestListPrices.*|TestDiscounts.*")},
	{"what was stored beside the fold is fresh", "ingest/revenue/advance.go", []edit{{
		"if at, repeated := known[fresh[i].identity()]; repeated && fresh[i].ReceivedAt.After(at) {",
		"if _, repeated := known[fresh[i].identity()]; repeated {"}}, ledgerTests},
	{"the difference is of signs, not of rows", ledger, []edit{{
		"missing = appendSigned(missing, desired[i], wanted[key]-held[key])", "missing = appendSigned(missing, desired[i], wanted[key])"}}, ledgerTests},
}
