#include <heed/model.h>

#include <unordered_set>

namespace heed {

namespace {

std::string parent_of(const std::string& name) {
  const auto dot = name.rfind('.');
  return dot == std::string::npos ? name : name.substr(0, dot);
}

/// The recurrent layer, or layer of convolutions, that a weight belongs to, or nothing.
std::string whole_layer_of(const ModelConfig& config, const std::string& name) {
  if (config.network == "transformer") return "";
  for (const std::string kind : {".layers.", ".convolutions."})
    if (const auto at = name.find(kind); at != std::string::npos)
      return name.substr(0, name.find('.', at + kind.size()));
  return "";
}

std::string kind_of_whole(const ModelConfig& config, const std::string& layer) {
  return layer.find(".convolutions.") != std::string::npos ? "convolution" : config.network;
}

std::string kind_of(const std::string& layer, const std::string& weight) {
  if (weight.ends_with(".table") || weight.ends_with(".ngrams") || weight == "segments") return "embedding";
  if (weight.ends_with("positions")) return "learned positions";
  if (weight.ends_with("relative_buckets")) return "relative positions";
  if (weight.ends_with(".gain") || weight.ends_with("norm.bias")) return "norm";
  if (weight.ends_with(".direction")) return "score";
  if (layer.ends_with("pooling")) return "pooling query";
  return "linear";
}

}  // namespace

std::vector<LayerRow> layer_table(Model& model, const ModelConfig& config, std::int64_t length) {
  std::vector<LayerRow> rows;
  std::unordered_set<const Weight::Record*> seen;
  const std::int64_t head_width = config.width_of_head();
  model.visit([&](const std::string& name, Weight& weight) {
    const bool own_row = name.ends_with("positions") || name.ends_with(".ngrams") || name.ends_with("relative_buckets");
    const std::string whole = whole_layer_of(config, name);
    const std::string layer = own_row ? name : !whole.empty() ? whole : parent_of(name);
    if (rows.empty() || rows.back().name != layer) {
      if (name.find("attention.out.") != std::string::npos || name.find("cross.out.") != std::string::npos)
        rows.push_back({parent_of(layer), "attention", format("{} heads of {}", config.heads, head_width), 0,
                        2 * length * config.heads * head_width});
      rows.push_back({layer, whole.empty() ? kind_of(layer, name) : kind_of_whole(config, layer), "", 0, 0});
    }
    LayerRow& row = rows.back();
    const bool tied = !seen.insert(weight.identity()).second;
    row.shape += (row.shape.empty() ? "" : " ") + weight.shape().text() + (tied ? " tied" : "");
    if (!tied) row.parameters += weight.elements();
    if (weight.shape().rank() == 2 && (row.kind == "linear" || !whole.empty())) row.multiply_adds += weight.elements();
  });
  return rows;
}

}  // namespace heed
