#pragma once
#include <heed/attention.h>

#include <optional>

#include "attention/cpu/bands.h"

namespace heed::attention {

/// The mask as a union of bands; nothing when it holds a rule or needs more bands than there is room for.
std::optional<Bands> bands_of(const Mask& mask);

}  // namespace heed::attention
