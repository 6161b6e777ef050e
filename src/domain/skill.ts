// Skills: what the agents of a blog can do, and what is made of it. Each is the type of a custom task; who asks for them by what wire, and
// how they are done, is decided elsewhere.

import type { JsonObject } from './json.ts';

/** The skills every server has. */
export const SKILLS = [
  'generate_content',
  'summarize_content',
  'moderate_content',
  'analyze_seo',
  'recommend_content',
  'chat_interaction',
] as const;

/** One of them. */
export type SkillId = (typeof SKILLS)[number];

/** What is done beside skills: plans made, contents judged and changed. */
export const CHORES = ['plan_content', 'validate_content', 'change_content'] as const;

/** One of those. */
export type ChoreId = (typeof CHORES)[number];

/** What can be planned for without a model, each with the skills it takes in order. */
export const INTENTS = {
  'generate-blog-post': ['generate_content', 'analyze_seo', 'moderate_content'],
  'summarize-content': ['summarize_content'],
  'moderate-content': ['moderate_content'],
  'analyze-seo': ['analyze_seo'],
  'recommend-content': ['recommend_content'],
  chat: ['chat_interaction'],
} as const satisfies Record<string, readonly SkillId[]>;

/** What each skill is told. */
export const SKILL_PARAMS: Readonly<Record<SkillId, readonly string[]>> = {
  generate_content: ['topic', 'tone', 'length'],
  summarize_content: ['content', 'contentId', 'maxSentences'],
  moderate_content: ['content'],
  analyze_seo: ['title', 'content', 'metaDescription', 'keywords'],
  recommend_content: ['contentId', 'text', 'userId', 'limit'],
  chat_interaction: ['message', 'sessionId', 'history'],
};

/** A step of a plan. */
export interface PlanStep {
  readonly skill: SkillId;
  readonly params: JsonObject;
}

/** The steps a content is judged by, in order, and which of them must be passed. */
export const VALIDATORS = [
  { id: 'schema-validation', name: 'Schema Validation', required: true },
  { id: 'moderation', name: 'Content Moderation', required: true },
  { id: 'seo-analysis', name: 'SEO Analysis', required: false },
  { id: 'quality-check', name: 'Quality Check', required: true },
  { id: 'final-approval', name: 'Final Approval', required: true },
] as const;

/** What is done to contents, and what each is told as. */
export const CONTENT_ACTIONS = {
  create_content: 'content.created',
  update_content: 'content.updated',
  delete_content: 'content.deleted',
  publish_content: 'content.published',
} as const;

/** One such action. */
export type ContentAction = keyof typeof CONTENT_ACTIONS;

/** How a skill's execution stands beyond its task's state, as its attempt reports it. */
export const SKILL_STAGES = ['validating', 'executing', 'validating_result'] as const;

/** One such stage. */
export type SkillStage = (typeof SKILL_STAGES)[number];

/** True for a skill every server has. */
export function isSkill(name: string): name is SkillId {
  return (SKILLS as readonly string[]).includes(name);
}

/** True for an intent that can be planned for without a model. */
export function isIntent(name: string): name is keyof typeof INTENTS {
  return Object.hasOwn(INTENTS, name);
}

/** True for something that is done to contents. */
export function isContentAction(name: string): name is ContentAction {
  return Object.hasOwn(CONTENT_ACTIONS, name);
}

/** The plan for an intent known here: its skills in order, each told what of the context concerns it (`BLOG-16`). */
export function planFor(intent: keyof typeof INTENTS, context: JsonObject): readonly PlanStep[] {
  return INTENTS[intent].map(skill => ({
    skill,
    params: Object.fromEntries(
      SKILL_PARAMS[skill].flatMap(name => (context[name] === undefined ? [] : [[name, context[name]]])),
    ),
  }));
}
