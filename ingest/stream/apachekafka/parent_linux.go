package apachekafka

import "syscall"

// dieWithParent ends a child with the thread that started it.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
