// The six skills themselves, each from its input to its result (`BLOG-24` to `BLOG-30`).

import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { SkillId } from '../../domain/skill.ts';
import type { Contents } from '../../engine/contents.ts';
import type { ModelMessage } from '../../engine/ports/model-provider.ts';
import { moderationOf } from '../../guards/content/moderation.ts';
import type { Clock } from '../../runtime/clock.ts';
import { composed, finished, type GenerateInput, WORDS_WANTED } from './generating.ts';
import type { Asking, Models } from './model.ts';
import { analyzed, type SeoInput } from './seo.ts';
import { nearest, textOf, titleOf } from './similarity.ts';
import { summarized } from './summarizing.ts';
import { replyFrom, type Sessions, sourcesOf } from './talking.ts';

/** What skills work with. */
export interface SkillParts {
  readonly clock: Clock;
  readonly contents: Contents;
  readonly sessions: Sessions;
  readonly models: Models;
}

/** For whom, and by which task. */
export interface SkillScene {
  readonly tenant: TenantId;
  readonly taskId: string;
  readonly userId: string | null;
  readonly asking: Asking;
}

const RELATED_SCORE = 0.15;
const SOURCES_MAX = 3;
const RECOMMENDED = 5;
const SENTENCES = 3;
const HISTORY_TOLD = 20;

/** Runs a skill on input of its shape; throws `invalid_request` for what the shape cannot tell, and `SkillFailure`. */
export async function runSkill(
  skill: SkillId,
  input: JsonObject,
  scene: SkillScene,
  parts: SkillParts,
): Promise<Json> {
  switch (skill) {
    case 'generate_content':
      return generate(input as unknown as GenerateInput, scene, parts);
    case 'summarize_content':
      return summarize(input, scene, parts);
    case 'moderate_content':
      return moderate(String(input.content), scene, parts);
    case 'analyze_seo':
      return analyzed(input as unknown as SeoInput) as unknown as JsonObject;
    case 'recommend_content':
      return recommend(input, scene, parts);
    case 'chat_interaction':
      return chat(input, scene, parts);
  }
}

async function generate(
  input: GenerateInput,
  { tenant, asking }: SkillScene,
  parts: SkillParts,
): Promise<JsonObject> {
  const { topic, tone = 'neutral', length = 'medium' } = input;
  const near = nearest(topic, await parts.contents.published(tenant), SOURCES_MAX).filter(
    ({ score }) => score >= RELATED_SCORE,
  );
  const related = near.map(({ content: { content } }) => ({
    title: titleOf(content),
    content: textOf(content),
  }));
  const written = await parts.models.write(
    [
      {
        role: 'system',
        text: `You write blog posts in Markdown. Begin with a line "# title". About ${WORDS_WANTED[length]} words, tone: ${tone}. Write in the language of the topic.`,
      },
      ...related.map(
        ({ title, content }): ModelMessage => ({
          role: 'user',
          text: `For background, “${title}”: ${content.slice(0, 2_000)}`,
        }),
      ),
      { role: 'user', text: `The topic: ${topic}` },
    ],
    asking,
  );
  if (written === null) return composed(input, related) as unknown as JsonObject;
  const heading = /^#\s+(.{1,200})$/m.exec(written);
  const content = heading === null ? written : written.replace(heading[0], '').trim();
  return finished(heading?.[1] ?? topic, content, topic, 'model') as unknown as JsonObject;
}

async function summarize(
  input: JsonObject,
  { tenant, asking }: SkillScene,
  parts: SkillParts,
): Promise<JsonObject> {
  const content = await contentIn(input, tenant, parts);
  if (textOf({ content }) === '') throw wrong('input.content', 'has no words to summarize');
  const sentences = Number(input.maxSentences ?? SENTENCES);
  const inOwnWords = summarized(content, sentences);
  const written = await parts.models.write(
    [
      {
        role: 'system',
        text: `Summarize the text in at most ${sentences} sentences, in its own language. Answer with the summary only.`,
      },
      { role: 'user', text: content.slice(0, 100_000) },
    ],
    asking,
  );
  // Whatever a model writes, a summary is no longer than its text.
  if (written === null || written.length > content.length) return inOwnWords as unknown as JsonObject;
  return { summary: written, keyPoints: inOwnWords.keyPoints, generator: 'model' };
}

async function contentIn(
  { content, contentId }: JsonObject,
  tenant: TenantId,
  { contents }: SkillParts,
): Promise<string> {
  if (typeof content === 'string') return content;
  if (typeof contentId !== 'string') throw wrong('input.content', 'is required, or contentId');
  return String((await required(contents, tenant, contentId)).content ?? '');
}

async function required(contents: Contents, tenant: TenantId, contentId: string): Promise<JsonObject> {
  const found = await contents.find(tenant, contentId);
  if (found !== null) return found.content;
  throw new DomainError('not_found', `there is no content ${contentId}`, {
    details: { errors: [{ field: 'input.contentId', message: 'names no content' }] },
  });
}

/** Our rules, and what a moderation model adds. */
async function moderate(
  content: string,
  { asking }: SkillScene,
  { models }: SkillParts,
): Promise<JsonObject> {
  const { flagged, categories } = moderationOf(content);
  const told = await models.moderate(content, asking.signal);
  if (told === null) return { flagged, categories };
  const added = Object.fromEntries(told.categories.map(category => [category.split('/')[0] ?? category, 1]));
  return { flagged: flagged || told.flagged, categories: { ...categories, ...added } };
}

async function recommend(input: JsonObject, { tenant }: SkillScene, parts: SkillParts): Promise<JsonObject> {
  const { contentId, text, userId, limit = RECOMMENDED } = input;
  const wanted =
    typeof contentId === 'string'
      ? await textOfContent(parts.contents, tenant, contentId)
      : typeof text === 'string'
        ? text
        : typeof userId === 'string'
          ? await parts.sessions.saidBy(tenant, userId)
          : null;
  if (wanted === null) throw wrong('input', 'needs contentId, text or userId');
  const others = (await parts.contents.published(tenant)).filter(one => one.contentId !== contentId);
  return { recommendations: sourcesOf(nearest(wanted, others, Number(limit))) };
}

async function textOfContent(contents: Contents, tenant: TenantId, contentId: string): Promise<string> {
  const content = await required(contents, tenant, contentId);
  return `${titleOf(content)} ${textOf(content)}`;
}

async function chat(input: JsonObject, scene: SkillScene, parts: SkillParts): Promise<JsonObject> {
  const { message, sessionId, history } = input as JsonObject & {
    readonly message: string;
    readonly sessionId: string;
  };
  const { tenant, taskId, userId, asking } = scene;
  const near = nearest(message, await parts.contents.published(tenant), SOURCES_MAX);
  const earlier = await parts.sessions.turns(tenant, sessionId);
  const written = await parts.models.write(
    [
      {
        role: 'system',
        text: 'You answer readers of a blog from what it has published. Say so where that does not answer it.',
      },
      ...near.map(
        ({ content: { content } }): ModelMessage => ({
          role: 'system',
          text: `Published: “${titleOf(content)}”: ${textOf(content).slice(0, 3_000)}`,
        }),
      ),
      ...(earlier.length > 0 ? earlier.map(toldAs) : turnsTold(history)).slice(-HISTORY_TOLD),
      { role: 'user', text: message },
    ],
    asking,
  );
  const reply = written ?? replyFrom(message, near);
  const at = parts.clock.now();
  await parts.sessions.add(tenant, { id: sessionId, userId }, [
    { role: 'user', text: message, at, task: taskId },
    { role: 'assistant', text: reply, at, task: taskId },
  ]);
  return { reply, sources: sourcesOf(near), generator: written === null ? 'template' : 'model' };
}

function toldAs({
  role,
  text,
}: {
  readonly role: 'user' | 'assistant';
  readonly text: string;
}): ModelMessage {
  return { role, text };
}

/** What a client says was said before, where this server knows nothing of it. */
function turnsTold(history: Json | undefined): readonly ModelMessage[] {
  const turns = Array.isArray(history) ? (history as readonly JsonObject[]) : [];
  return turns.flatMap(({ role, content, text }) => {
    const said = typeof text === 'string' ? text : content;
    return typeof said === 'string'
      ? [toldAs({ role: role === 'assistant' ? 'assistant' : 'user', text: said })]
      : [];
  });
}

function wrong(field: string, message: string): DomainError {
  return new DomainError('invalid_request', `${field} ${message}`, {
    details: { errors: [{ field, message }] },
  });
}
