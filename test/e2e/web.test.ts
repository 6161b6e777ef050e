import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { withoutBrowser } from '../../src/executors/web/browser.test.ts';
import { startSite } from '../../src/executors/web/site.test.ts';
import type { Loose } from '../serve.ts';
import { submit, until } from './crew.ts';
import { openMailbox } from './mailbox.ts';
import { running } from './running.ts';

const house = await running();
const site = await startSite();
const mailbox = await openMailbox();
const { admin } = house;
after(async () => {
  mailbox.close();
  await house.stop();
  await site.stop();
});

const order = (task_id: string, task_data: object, more: object = {}): object => ({
  task_id,
  task_type: 'web_automation',
  description: 'Extract product information from e-commerce website',
  orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
  task_data: { options: { requests_per_second: 50 }, ...task_data },
  ...more,
});
const ended = (id: string): Promise<Loose> => until(admin, id, one => one.current_status.outcome !== null);

suite('web automation through the whole server', () => {
  test("SAM-142 SAM-145 SAM-146 SAM-71 the document's example runs as it is, and its webhook tells what the document's does", {
    skip: withoutBrowser,
  }, async () => {
    const notification_config = {
      webhook_url: mailbox.url,
      webhook_secret: 'webhook_secret_key_123',
      notification_events: ['task_completed'],
    };
    const task_data = {
      target_url: `${site.url}/shop`,
      extraction_rules: {
        product_name: '.product-title',
        price: '.price-current',
        availability: '.stock-status',
      },
      pagination: { max_pages: 10, page_selector: '.pagination .next' },
    };
    await submit(admin, order('web_scraping_task_001', task_data, { notification_config }));
    const { execution_details: details, current_status: status } = await ended('web_scraping_task_001');
    assert.equal(status.outcome, 'completed', JSON.stringify(details));
    assert.deepEqual(
      details.intermediate_results.map((one: Loose) => [one.page, one.products_extracted]),
      [
        [1, 4],
        [2, 4],
        [3, 4],
      ],
    );
    const letter = await mailbox.find(one => one.body.task_id === 'web_scraping_task_001');
    const { result, context } = letter.body as Loose;
    assert.equal(result.output.total_products, 12);
    assert.equal(result.output.pages_processed, 3);
    assert.match(result.output.data_file, /^products_\d{8}\.json$/);
    assert.deepEqual(result.output.summary.price_range, { min: 11, max: 34, average: 22.5 });
    const [artifact] = result.artifacts;
    assert.deepEqual([artifact.type, artifact.name], ['data_file', result.output.data_file]);
    const {
      pages_per_second: pages,
      products_per_second: products,
      error_rate: errors,
    } = context.performance_data;
    assert.ok(pages > 0 && products > 0);
    assert.equal(errors, 0);
  });

  test('SAM-143 SAM-147 SAM-122 what cannot run is refused at submit: no page, a bad selector, a private address', async () => {
    const refused: readonly (readonly [number, object])[] = [
      [400, {}],
      [400, { target_url: site.url, extraction_rules: { a: 'p[' } }],
      [422, { target_url: 'http://169.254.169.254/' }],
      [422, { target_url: site.url, steps: [{ type: 'pdf' }], engine: 'http' }],
    ];
    for (const [index, [expect, task_data]] of refused.entries())
      await admin.post('/api/v2/execute-task', order(`refused-${index}`, task_data), { expect });
    assert.deepEqual(
      site.seen.filter(path => path === '/'),
      [],
    );
  });
});
