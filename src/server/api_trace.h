/* api_trace.h -- what the handlers of the trace endpoints share. */
#pragma once

#include "query/trace/encode_trace.h"
#include "server/params_trace.h"
#include "server/route.h"

struct query_context api_trace_context(const struct app *app, const struct request *rq);

// What `Accept` asks for; sets the answer's content type (traces-http.md 11.1).
enum encode_form api_trace_form(const struct request *rq, struct response *rs);

// Whether Grafana asks: some of what it needs, others would take for data.
bool api_trace_is_grafana(const struct request *rq);

// Parses `text`, with the texts of the endpoints around an error's: `invalid TraceQL query: ` (search), or nothing before a
// syntax error and `compiling query: ` before others (metrics).
MUST_CHECK bool api_trace_parse(struct slice text, bool metrics, struct arena *a, struct traceql **out, struct err *err);

// Runs one of them: counts and times it, answers its error.
void api_trace_answer(bool (*run)(const struct app *app, const struct request *rq, struct response *rs, struct err *err),
                      const struct app *app, const struct request *rq, struct response *rs);
