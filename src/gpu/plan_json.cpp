#include <nlohmann/json.hpp>

#include "gpu/plan.h"

namespace pixellm::gpu {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Extent& e) {
  if (e.of == Extent::Of::kNumber) return e.times;
  const char* of = e.of == Extent::Of::kTokens      ? "tokens"
                   : e.of == Extent::Of::kPositions ? "positions"
                                                    : "logits";
  return {{"of", of}, {"each", e.each}, {"times", e.times}};
}

Json json_of(const Plan& plan, const PlanBinding& b) {
  Json j = {{"binding", b.binding}};
  if (b.kind == PlanBinding::Kind::kParams)
    j["params"] = true;
  else if (b.kind == PlanBinding::Kind::kTexture)
    j["texture"] = b.index;
  else
    j["buffer"] = plan.buffers[b.index].name;
  return j;
}

Json json_of(const Plan& plan, const std::vector<Dispatch>& list) {
  Json all = Json::array();
  for (const Dispatch& d : list) {
    Json j = {{"layer", d.layer},           {"shader", d.shader},
              {"label", d.label},           {"constants", Json::object()},
              {"params", d.params},         {"bindings", Json::array()},
              {"workgroups", Json::array()}};
    for (const auto& [name, value] : d.constants) j["constants"][name] = static_cast<int64_t>(value);
    for (const PlanBinding& b : d.bindings) j["bindings"].push_back(json_of(plan, b));
    for (const Extent& e : d.workgroups) j["workgroups"].push_back(json_of(e));
    all.push_back(std::move(j));
  }
  return all;
}

}  // namespace

std::string plan_json(const Plan& plan) {
  const ModelConfig& c = plan.config;
  Json j = {
      {"version", kPlanVersion},
      {"model",
       {{"architecture", architecture_name(c.architecture)},
        {"n_layers", c.n_layers},
        {"embedding_length", c.embedding_length},
        {"vocab_size", c.vocab_size},
        {"n_rot", c.n_rot},
        {"final_softcap", c.final_softcap},
        {"context", plan.context},
        {"batch", plan.batch}}},
      {"layers", c.n_layers},
      {"dispatches_a_layer", plan.dispatches_a_layer()},
      {"picture",
       {{"row_bytes", plan.row_bytes}, {"rows", plan.picture_rows}, {"rows_per_layer", plan.rows_per_layer}}},
      {"textures", Json::array()},
      {"vectors", Json::array()},
      {"buffers", Json::array()}};
  for (const RowRange& t : plan.textures)
    j["textures"].push_back({{"first_row", t.first}, {"rows", t.end - t.first}});
  for (const Plan::Vector& v : plan.vectors)
    j["vectors"].push_back({{"tensor", v.tensor}, {"at", v.at}, {"count", v.count}});
  for (const PlanBuffer& b : plan.buffers)
    j["buffers"].push_back(
        {{"name", b.name}, {"bytes", b.bytes}, {"usage", b.uniform ? "uniform" : "storage"}});
  j["decode"] = json_of(plan, plan.decode);
  j["prefill"] = json_of(plan, plan.prefill);
  j["logits"] = json_of(plan, plan.logits);
  j["argmax"] = json_of(plan, plan.argmax);
  j["top_k"] = json_of(plan, plan.top_k);
  return j.dump();
}

}  // namespace pixellm::gpu
