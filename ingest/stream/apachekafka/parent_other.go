//go:build !linux

package apachekafka

import "syscall"

// dieWithParent cannot be had here: a child may survive a test that is killed.
func dieWithParent() *syscall.SysProcAttr { return nil }
