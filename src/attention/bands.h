#pragma once
#include <heed/attention.h>

#include <optional>

#include "attention/cpu/bands.h"

namespace heed::attention {

/// The mask as a union of bands; nothing when it needs more of them than there is room for, or holds what is no band. A
/// traced rule that compares positions with each other or with constants is bands, too.
std::optional<Bands> bands_of(const Mask& mask);

}  // namespace heed::attention
