package stream

// skip passes any JSON value, checking its grammar; depth is the level that an
// object or array here would have.
func (r *reader) skip(depth int) error {
	if r.at >= len(r.text) {
		return r.fault("expected a value")
	}
	switch c := r.text[r.at]; {
	case depth > nestingMax && (c == '{' || c == '['):
		return r.fault("nested too deeply")
	case c == '{':
		return r.each(func(string) error { return r.skip(depth + 1) })
	case c == '[':
		return r.skipArray(depth)
	case c == '"':
		_, err := r.quoted() // which checks its escapes
		return err
	case c == '-' || isDigit(c):
		return r.skipNumber()
	case r.word("true"), r.word("false"), r.word("null"):
		return nil
	}
	return r.fault("expected a value")
}

func (r *reader) skipArray(depth int) error {
	r.at++
	if r.take(']') {
		return nil
	}
	for {
		r.space()
		if err := r.skip(depth + 1); err != nil {
			return err
		}
		if r.take(',') {
			continue
		}
		return r.expect(']')
	}
}

// skipNumber passes a number of JSON's grammar, whatever its size.
func (r *reader) skipNumber() error {
	start := r.at
	if r.text[r.at] == '-' {
		r.at++
	}
	whole := r.at
	if r.digits() == 0 || r.text[whole] == '0' && r.at-whole > 1 {
		r.at = start
		return r.fault("expected a number")
	}
	if r.at < len(r.text) && r.text[r.at] == '.' {
		r.at++
		if r.digits() == 0 {
			return r.fault("expected a digit")
		}
	}
	if r.at < len(r.text) && r.text[r.at]|0x20 == 'e' {
		r.at++
		if r.at < len(r.text) && (r.text[r.at] == '+' || r.text[r.at] == '-') {
			r.at++
		}
		if r.digits() == 0 {
			return r.fault("expected a digit")
		}
	}
	return nil
}

// digits passes digits and returns how many.
func (r *reader) digits() int {
	start := r.at
	for r.at < len(r.text) && isDigit(r.text[r.at]) {
		r.at++
	}
	return r.at - start
}
