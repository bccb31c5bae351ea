// gopher.go - a Go program: no .eh_frame, small functions without a frame.
//
//	gopher SECONDS    of wall time
//
// Truth: every stack of the work is a beginning of "runtime.main main.main main.middle
// main.leaf".
package main

import (
	"os"
	"strconv"
	"time"
)

//go:noinline
func leaf(x int) int {
	for i := 0; i < 100; i++ {
		x ^= x<<1 + i
	}
	return x
}

//go:noinline
func middle(x int) int {
	for i := 0; i < 100; i++ {
		x += leaf(x) + leaf(i)
	}
	return x
}

func main() {
	seconds, _ := strconv.ParseFloat(os.Args[1], 64)
	end := time.Now().Add(time.Duration(seconds * 1e9))
	x := 0
	for time.Now().Before(end) {
		x = middle(x)
	}
	os.Exit(x & 0)
}
