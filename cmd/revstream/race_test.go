//go:build race

package main

// buildFlags build the program under test like its tests.
var buildFlags = []string{"-race"}
