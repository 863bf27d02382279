// The entries of the table that ops-inl.h and attention-inl.h provide. Included inside the namespace of one
// ISA.
void fill_ops(Kernels& k) {
  k.rms_norm = rms_norm;
  k.layer_norm = layer_norm;
  k.add = add_vectors;
  k.scale = scale_vector;
  k.silu_mul = silu_mul;
  k.gelu_mul = gelu_mul;
  k.gelu = gelu;
  k.softcap = softcap;
  k.rope = rope;
  k.attention = attention;
  k.attention_chunk = attention_chunk;
  k.attention_join = attention_join;
  k.to_int8 = to_int8;
  k.to_f16 = to_f16;
  k.softmax = softmax;
}
