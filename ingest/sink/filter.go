package sink

import "github.com/bits-and-blooms/bloom/v3"

// filter remembers which groups a slice may have seen. It errs to one side
// only: a group it does not know is new for certain, so nothing has to be read
// for it. It grows by further Bloom filters of twice the size.
type filter struct {
	errorRate float64
	layers    []*bloom.BloomFilter
	capacity  uint // of the newest layer, in groups
	used      uint
}

// filterGroupsMin is the capacity of a filter's first layer, in groups.
const filterGroupsMin = 1 << 16

func newFilter(errorRate float64) *filter {
	f := &filter{errorRate: errorRate}
	f.grow(filterGroupsMin)
	return f
}

func (f *filter) grow(capacity uint) {
	// Each layer may err half as often as the one before, so that together they
	// stay within twice the rate however many there are.
	rate := f.errorRate / float64(uint(1)<<min(len(f.layers), 8))
	f.layers = append(f.layers, bloom.NewWithEstimates(capacity, rate))
	f.capacity, f.used = capacity, 0
}

// add remembers a group and reports whether it may have been seen before.
func (f *filter) add(hash uint64) (seen bool) {
	key := [8]byte{byte(hash), byte(hash >> 8), byte(hash >> 16), byte(hash >> 24),
		byte(hash >> 32), byte(hash >> 40), byte(hash >> 48), byte(hash >> 56)}
	newest := len(f.layers) - 1
	for _, layer := range f.layers[:newest] {
		if layer.Test(key[:]) {
			return true
		}
	}
	if f.layers[newest].TestAndAdd(key[:]) {
		return true
	}
	if f.used++; f.used >= f.capacity {
		f.grow(2 * f.capacity)
	}
	return false
}
