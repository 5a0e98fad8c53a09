/* What the real and the simulated disk share: which paths they take. */
#pragma once

#include "core/base.h"

/* Relative, not empty, no component "..", each component at most 255 octets. "." alone is the top. */
bool disk_path_ok(const char *path);
