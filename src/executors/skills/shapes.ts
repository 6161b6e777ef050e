// What each skill is told and what it answers, as JSON Schema.

import Type from 'typebox';
import type { JsonObject } from '../../domain/json.ts';
import type { SkillId } from '../../domain/skill.ts';

const text = Type.String({ minLength: 1, maxLength: 500_000 });
const id = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' });
const generator = Type.Enum(['model', 'template']);
const asJson = (schema: unknown): JsonObject => schema as JsonObject;

/** What skills are told. */
export const INPUTS: Readonly<Record<SkillId, JsonObject>> = {
  generate_content: asJson(
    Type.Object({
      topic: Type.String({ maxLength: 300, pattern: '\\S' }),
      tone: Type.Optional(Type.String({ maxLength: 100 })),
      length: Type.Optional(Type.Enum(['short', 'medium', 'long'])),
    }),
  ),
  summarize_content: asJson(
    Type.Object({
      content: Type.Optional(Type.String({ maxLength: 500_000 })),
      contentId: Type.Optional(id),
      maxSentences: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    }),
  ),
  moderate_content: asJson(Type.Object({ content: Type.String({ maxLength: 500_000 }) })),
  analyze_seo: asJson(
    Type.Object({
      title: Type.String({ maxLength: 1_000 }),
      content: Type.String({ maxLength: 500_000 }),
      metaDescription: Type.Optional(Type.String({ maxLength: 5_000 })),
      keywords: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { maxItems: 100 })),
    }),
  ),
  recommend_content: asJson(
    Type.Object({
      contentId: Type.Optional(id),
      text: Type.Optional(text),
      userId: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    }),
  ),
  chat_interaction: asJson(
    Type.Object({
      message: Type.String({ maxLength: 20_000, pattern: '\\S' }),
      sessionId: id,
      history: Type.Optional(Type.Array(Type.Unknown(), { maxItems: 200 })),
    }),
  ),
};

/** What skills answer. */
export const RESULTS: Readonly<Record<SkillId, JsonObject>> = {
  generate_content: asJson(
    Type.Object({
      title: Type.String({ minLength: 1, maxLength: 200 }),
      content: Type.String({ minLength: 1 }),
      excerpt: Type.String(),
      tags: Type.Array(Type.String()),
      wordCount: Type.Integer({ minimum: 1 }),
      generator,
    }),
  ),
  summarize_content: asJson(
    Type.Object({ summary: Type.String({ minLength: 1 }), keyPoints: Type.Array(Type.String()), generator }),
  ),
  moderate_content: asJson(
    Type.Object({
      flagged: Type.Boolean(),
      categories: Type.Record(Type.String(), Type.Number({ minimum: 0, maximum: 1 })),
    }),
  ),
  analyze_seo: asJson(
    Type.Object({ score: Type.Integer({ minimum: 0, maximum: 100 }), checks: Type.Array(Type.Object({})) }),
  ),
  recommend_content: asJson(Type.Object({ recommendations: Type.Array(Type.Object({})) })),
  chat_interaction: asJson(
    Type.Object({ reply: Type.String({ minLength: 1 }), sources: Type.Array(Type.Object({})), generator }),
  ),
};
