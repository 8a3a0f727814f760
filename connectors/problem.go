package connectors

import (
	"net/http"
	"strings"
)

// ContentProblem is the content type of a Problem.
const ContentProblem = "application/problem+json"

// Problem is the body of RFC 9457, in which the APIs that are ours refuse. Code and Pointer
// are extensions: the code of the error and the JSON pointer of the member at fault.
type Problem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Code    string `json:"code,omitempty"`
	Pointer string `json:"pointer,omitempty"`
}

// NewProblem writes a refusal as a problem.
func NewProblem(r Refusal) Problem {
	return Problem{
		Type: "about:blank", Title: http.StatusText(r.Status), Status: r.Status,
		Detail: r.Detail, Code: r.Code, Pointer: Pointer(r.Field),
	}
}

// ProblemAnswer is the answer of a refusal as a problem.
func ProblemAnswer(r Refusal) Answer {
	answer := JSONAnswer(r.Status, NewProblem(r))
	answer.ContentType = ContentProblem
	return answer
}

// Pointer writes a dotted path as a JSON pointer.
func Pointer(path string) string {
	if path == "" {
		return ""
	}
	return "/" + strings.ReplaceAll(path, ".", "/")
}
