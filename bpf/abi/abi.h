// Everything that the BPF programs and user space share. The single source of truth for layouts.
#pragma once

#include "address.h"
#include "reason.h"
#include "config.h"
#include "connection.h"
#include "dns.h"
#include "domain.h"
#include "endpoint.h"
#include "event.h"
#include "learned.h"
#include "name.h"
#include "policy.h"
#include "service.h"
#include "xdp.h"
