// profiles.go - writes the CPU profile and the heap profile of itself: two files that
// somebody else's pprof writer made. See make-profiles.
//
//	go run profiles.go CPU.pb.gz HEAP.pb.gz
package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

var kept [][]byte

//go:noinline
func spin(end time.Time) (n int) {
	for time.Now().Before(end) {
		for i := 0; i < 100000; i++ {
			n += i ^ n
		}
	}
	return
}

//go:noinline
func allocate(n int) {
	for i := 0; i < n; i++ {
		kept = append(kept, make([]byte, 1<<16))
		_ = append(kept[i][:0:0], make([]byte, 1<<16)...)
	}
}

func main() {
	cpu, _ := os.Create(os.Args[1])
	pprof.StartCPUProfile(cpu)
	spin(time.Now().Add(500 * time.Millisecond))
	pprof.StopCPUProfile()
	cpu.Close()

	runtime.MemProfileRate = 1
	allocate(100)
	runtime.GC()
	heap, _ := os.Create(os.Args[2])
	pprof.WriteHeapProfile(heap)
	heap.Close()
}
