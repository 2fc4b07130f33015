#pragma once

// The tracing core: typed tracepoints, the registry of systems and events, tracing instances, event
// catalogues and the format text. There are no files in here; eventfs and tracefs show it.

#include "trace/catalogue.h"
#include "trace/event.h"
#include "trace/field.h"
#include "trace/format.h"
#include "trace/instance.h"
#include "trace/name.h"
#include "trace/record.h"
#include "trace/registry.h"
#include "trace/stats.h"
#include "trace/tracepoint.h"
