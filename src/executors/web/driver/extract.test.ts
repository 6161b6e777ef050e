import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebError } from '../web-error.ts';
import { type Extraction, ParsedPage } from './extract.ts';

const URL_OF_PAGE = 'https://shop.test/list/page?p=2';

const take = (html: string, extraction: Extraction) => new ParsedPage(html, URL_OF_PAGE).records(extraction);

test('SAM-143 without items, matches pair in document order: a record that lacks a field does not shift those after it', () => {
  const html = '<h2>A</h2><b>1</b><h2>B</h2><h2>C</h2><b>3</b>';
  assert.deepEqual(take(html, { rules: { name: 'h2', price: 'b' } }), [
    { name: 'A', price: '1' },
    { name: 'B', price: null },
    { name: 'C', price: '3' },
  ]);
});

test('SAM-143 with an item selector every item is one record, read inside itself', () => {
  const html =
    '<li data-id="7"><a href="../x">x</a><i>a</i><i>b</i></li><li data-id="8"><a>y</a></li><a href="/z">z</a>';
  const rules = {
    id: { selector: 'li', attribute: 'data-id', type: 'integer' },
    link: { selector: 'a', attribute: 'href' },
    tags: { selector: 'i', multiple: true },
  } as const;
  assert.deepEqual(take(html, { rules, itemSelector: 'li' }), [
    { id: 7, link: 'https://shop.test/x', tags: ['a', 'b'] },
    { id: 8, link: null, tags: [] },
  ]);
});

test('SAM-143 a rule of many values without items gives each record the whole list', () => {
  const html = '<h1>one</h1><p>a</p><p>b</p>';
  const rules = { title: 'h1', lines: { selector: 'p', multiple: true } };
  assert.deepEqual(take(html, { rules }), [{ title: 'one', lines: ['a', 'b'] }]);
  assert.deepEqual(take(html, { rules: { lines: { selector: 'p', multiple: true } } }), [
    { lines: ['a', 'b'] },
  ]);
});

test('SAM-143 a required rule without a match fails naming URL and rule, also where only one record lacks it', () => {
  const rules = { name: 'h2', price: { selector: 'b', required: true } };
  for (const html of ['', '<h2>A</h2><b>1</b><h2>B</h2>']) {
    assert.throws(
      () => take(html, { rules }),
      error => {
        assert.ok(error instanceof WebError);
        assert.deepEqual([error.code, error.details], ['task_failed', { url: URL_OF_PAGE, rule: 'price' }]);
        return true;
      },
      html,
    );
  }
});

test('an optional rule that finds nothing is null, and a page without records gives none', () => {
  assert.deepEqual(take('<p>hello</p>', { rules: { name: 'h2' } }), []);
  assert.deepEqual(take('<h2> a \n b </h2>', { rules: { name: 'h2', note: 'i' } }), [
    { name: 'a b', note: null },
  ]);
});

test('addresses resolve against the base the page names, and html and booleans are read as such', () => {
  const html = '<base href="https://cdn.test/a/"><img src="i.png"><p><b>x</b></p><s>In stock</s>';
  const rules = {
    image: { selector: 'img', type: 'url' },
    markup: { selector: 'p', type: 'html' },
    there: { selector: 's', type: 'boolean' },
  } as const;
  assert.deepEqual(take(html, { rules }), [
    { image: 'https://cdn.test/a/i.png', markup: '<b>x</b>', there: true },
  ]);
});

/** What a page's next link says: an address, null for something to click, undefined for the end. */
const nextOf = (html: string) => new ParsedPage(html, URL_OF_PAGE).next('.next')?.url;

test('SAM-142 the next page is where the link leads, what must be clicked, or nowhere once it is missing or disabled', () => {
  assert.equal(nextOf('<a class="next" href="?p=3">'), 'https://shop.test/list/page?p=3');
  assert.equal(nextOf('<li class="next"><a href="/q">'), 'https://shop.test/q');
  for (const html of [
    '<button class="next">',
    '<a class="next" href="#">',
    '<a class="next" href="javascript:go()">',
  ])
    assert.equal(nextOf(html), null, html);
  for (const html of [
    '<a class="prev" href="?p=1">',
    '<button class="next" disabled>',
    '<a class="next disabled" href="?p=3">',
    '<li class="disabled"><a class="next" href="?p=3"></a></li>',
    '<a class="next" aria-disabled="true" href="?p=3">',
    '<li class="next"><button disabled>',
  ])
    assert.equal(nextOf(html), undefined, html);
});
