// The plan: what the GPU does for a step of tokens. spec/plan.md; the C++ side makes it.

export interface Extent {
  of: "tokens" | "positions" | "logits";
  each: number;
  times: number;
}

export interface Binding {
  binding: number;
  buffer?: string;
  texture?: number;
  params?: boolean;
}

export interface Dispatch {
  layer: number;
  shader: string;
  label: string;
  constants: Record<string, number>;
  params: number[];
  bindings: Binding[];
  workgroups: (number | Extent)[];
}

export const kLists = ["decode", "prefill", "logits", "argmax", "top_k"] as const;
export type ListName = (typeof kLists)[number];

export interface Plan extends Record<ListName, Dispatch[]> {
  version: number;
  model: { architecture: string; n_layers: number; embedding_length: number; vocab_size: number; context: number; batch: number };
  picture: { row_bytes: number; rows: number; rows_per_layer: number };
  textures: { first_row: number; rows: number }[];
  buffers: { name: string; bytes: number; usage: "storage" | "uniform" }[];
}

/** What a step's sizes depend on. */
export interface StepSize {
  position: number;
  nTokens: number;
  nLogits: number;
}

export function parsePlan(json: string): Plan {
  const plan = JSON.parse(json) as Plan;
  if (plan.version !== 1) throw new Error(`the plan is of version ${plan.version}, this runtime knows 1`);
  return plan;
}

export function extent(e: number | Extent, step: StepSize): number {
  if (typeof e === "number") return e;
  const v = e.of === "tokens" ? step.nTokens : e.of === "positions" ? step.position + step.nTokens : step.nLogits;
  return e.times * Math.ceil(v / e.each);
}

/** Files of all shaders, each once. */
export function shaderFiles(plan: Plan): string[] {
  return [...new Set(kLists.flatMap((list) => plan[list].map((d) => d.shader)))];
}
