// What people do with the console, in Debian's Chromium. Run by console_test.py, which says by the environment where
// everything is. Ends with a line for each step, and status 1 at the first that fails.
import { strict as assert } from 'node:assert'
import { spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const { MENSHEN_CODE: code, MENSHEN_URL: url, MENSHEN_SCREENSHOTS: shots, MENSHEN_WEB: web, MENSHEN_SCRATCH: scratch } = process.env
const { chromium } = createRequire(path.join(web, 'package.json'))('playwright-core')
const axe = readFileSync(path.join(web, 'node_modules/axe-core/axe.min.js'), 'utf8')
const password = 'Correct horse 1'
const people = { system: 'system.wang', security: 'security.li', audit: 'audit.zhang' }
const secrets = {}
const lastCode = {}
const deadline = 60_000

const context = await chromium.launchPersistentContext(path.join(scratch, 'browser'), {
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  ignoreHTTPSErrors: true,
  viewport: { width: 1280, height: 800 },
  locale: 'zh-CN',
  colorScheme: 'light',
})
context.setDefaultTimeout(deadline)
const page = context.pages()[0]
const complaints = []
const barriers = [] // what axe-core calls serious or critical, of all pages
page.on('console', (message) => {
  const text = message.text()
  if (/Content Security Policy|Refused to/.test(text)) complaints.push(text)
})
page.on('pageerror', (error) => complaints.push(String(error)))
page.on('request', (request) => {
  if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) complaints.push(`asked ${request.url()}`)
})

function totp(secret) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)))
  const digest = createHmac('sha1', key).update(counter).digest()
  const at = digest[19] & 15
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}
// A code counts once: wait for the clock to give another.
async function freshCode(name) {
  for (;;) {
    const now = totp(secrets[name])
    if (now !== lastCode[name]) return (lastCode[name] = now)
    await page.waitForTimeout(500)
  }
}
const field = (name) => page.locator(`[data-field="${name}"]`).locator('xpath=descendant-or-self::input|descendant-or-self::textarea').first()
const press = (action) => page.locator(`[data-action="${action}"]`).first().click()
async function step(what, work) {
  const from = Date.now()
  await work()
  assert.deepEqual(complaints, [], what)
  console.log(`ok  ${what}  (${Date.now() - from} ms)`)
}
async function language(wanted) {
  const now = await page.evaluate(() => document.documentElement.lang)
  // Not by the mouse: a dialog may lie over the button.
  if ((wanted === 'zh') !== now.startsWith('zh')) await page.evaluate(() => document.querySelector('[data-action="lang"]').click())
}
async function accessible(what) {
  // What is still fading in has not yet its colours.
  await page.evaluate(() => Promise.all(document.getAnimations()
    .filter((animation) => animation.effect?.getComputedTiming().iterations !== Infinity)
    .map((animation) => animation.finished.catch(() => {}))))
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }))
  const serious = violations.filter((each) => ['serious', 'critical'].includes(each.impact))
  for (const each of serious) barriers.push(`${what}: ${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(' | ')}`)
}
async function shoot(name) {
  for (const lang of ['zh', 'en']) {
    await language(lang)
    await page.waitForTimeout(400) // Element Plus fades what changes; a picture only, nothing is asserted on it
    await page.screenshot({ path: path.join(shots, `${name}.${lang}.png`) })
  }
  await language('zh')
}
async function visit(name) {
  await page.locator(`[data-page="${name}"]`).click()
  await page.waitForURL(`**/${name}*`)
  await page.locator('main .card').first().waitFor()
}
async function signIn(role) {
  await page.goto(`${url}/sign-in`)
  await field('name').fill(people[role])
  await field('password').fill(password)
  await field('totp').fill(await freshCode(role))
  await press('sign-in')
  await page.locator('nav').waitFor()
}
async function signOut() {
  await press('person')
  await page.getByRole('menuitem', { name: '退出登录' }).click()
  await page.waitForURL('**/sign-in*')
}

try {
  await step('set up the three administrators', async () => {
    await page.goto(`${url}/`)
    await page.getByRole('link', { name: '三员' }).click()
    await field('code').fill('not the code')
    for (const role of ['system', 'security', 'audit']) {
      await field('name').fill(people[role])
      await field('password').fill(password)
      await field('repeat').fill(password)
      if (role === 'system') {
        await press('next')
        await page.getByText('初始化码不正确').first().waitFor()
        await shoot('setup')
        await field('code').fill(code)
      }
      await press('next')
      secrets[role] = (await page.locator('[data-field="secret"]').innerText()).trim()
      if (role === 'system') {
        await page.locator('img.qr').waitFor()
        await accessible('setup')
        await shoot('setup-code')
      }
      await field('totp').fill(await freshCode(role))
      await press('confirm')
      await page.locator('[data-field="secret"]').waitFor({ state: 'detached' })
    }
    await page.getByText('三员账号均已设置').waitFor()
  })

  await step('a wrong code does not sign in', async () => {
    await page.goto(`${url}/sign-in`)
    await accessible('sign-in')
    await shoot('sign-in')
    await field('name').fill(people.security)
    await field('password').fill(password)
    await field('totp').fill('000000')
    await press('sign-in')
    await page.getByText('账号、口令或动态口令不正确').waitFor()
  })

  await step('the security administrator signs in and sees the overview', async () => {
    await signIn('security')
    await page.locator('[data-figure="alerts"]').waitFor()
    await page.locator('.chart canvas').first().waitFor()
    await accessible('overview')
    await shoot('overview')
  })

  await step('an alert appears live, and its hostile fields are text', async () => {
    await visit('events')
    await page.locator('[data-state="live"]').waitFor()
    const rows = page.locator('[data-table="records"] tbody tr')
    await rows.first().waitFor()
    const before = await rows.count()
    const [program, ...rest] = JSON.parse(process.env.MENSHEN_ATTACK)
    spawnSync(program, rest)
    await page.waitForFunction((n) => document.querySelectorAll('[data-table="records"] tbody tr').length > n, before)
    await accessible('events')
    await shoot('events')
    await page.locator('[data-action="open"]', { hasText: '9000001' }).first().click()
    const detail = page.locator('[data-field="detail"]')
    await detail.waitFor()
    assert.match(await detail.innerText(), /onerror=window\.menshenScriptRan/)
    assert.equal(await page.evaluate(() => window.menshenScriptRan), undefined)
    await shoot('event')
    await page.keyboard.press('Escape')
  })

  await step('a filter stands in the address, and survives loading it again', async () => {
    await page.getByRole('button', { name: '越域访问' }).first().click()
    await page.waitForURL('**/events?kind=isolation')
    await page.reload()
    await page.locator('[data-table="records"] tbody tr').first().waitFor()
    const kinds = await page.locator('[data-table="records"] tbody tr td:nth-child(2)').allInnerTexts()
    assert.ok(kinds.length > 0 && kinds.every((each) => each.includes('越域访问')), kinds.join())
  })

  await step('the matrix of domains', async () => {
    await visit('matrix')
    await page.locator('[data-pair="finance-portal"]').click()
    await page.getByText('访问统一门户').first().waitFor()
    await shoot('matrix-pair')
    await page.keyboard.press('Escape')
    await page.locator('.el-drawer').first().waitFor({ state: 'hidden' })
    await accessible('matrix')
    await shoot('matrix')
  })

  await step('a policy is checked as it is written, compared and applied', async () => {
    await visit('policy')
    await page.getByText('SHA-256').first().waitFor()
    await accessible('policy')
    await shoot('policy')
    await page.getByRole('tab', { name: '编辑与下发' }).click()
    await press('from-active')
    await page.locator('[data-state="valid"]').waitFor()
    const editor = field('source')
    const good = await editor.inputValue()
    await editor.fill(good.replace('to: portal, service: web', 'to: portl, service: web'))
    await page.locator('[data-state="invalid"]').waitFor()
    await accessible('editor')
    await shoot('policy-mistake')
    await editor.fill(good.replace('- {from: outside,', '- {from: tax, to: finance, service: web, inspect: block, reason: 试行互通, ticket: 工单 1}\n  - {from: outside,'))
    await page.locator('[data-state="valid"]').waitFor()
    await press('plan')
    await page.locator('[data-state="plan"] li').first().waitFor()
    await shoot('policy-plan')
    await press('apply')
    await field('reason').fill('浏览器测试：开通税务到财政')
    await shoot('reason')
    await press('reason-ok')
    await press('confirm-policy')
    await field('reason').fill('已核对')
    await press('reason-ok')
    await page.locator('[data-action="confirm-policy"]').waitFor({ state: 'detached' })
    await page.getByRole('tab', { name: '历史' }).click()
    await page.locator('td:visible', { hasText: `${people.security} (console)` }).first().waitFor()
  })

  await step('rules and compliance', async () => {
    await visit('rules')
    await page.getByText('no_such_keyword').first().waitFor()
    await accessible('rules')
    await shoot('rules')
    await visit('compliance')
    await page.locator('[data-table="items"]').waitFor()
    await accessible('compliance')
    await shoot('compliance')
    const [download] = await Promise.all([page.waitForEvent('download'), press('report')])
    assert.equal(download.suggestedFilename(), 'report.zh.html')
  })

  await step('dark, and narrow as a tablet', async () => {
    await visit('overview')
    await press('theme')
    await page.locator('.chart canvas').first().waitFor()
    await accessible('overview, dark')
    await shoot('overview-dark')
    await press('theme')
    await page.setViewportSize({ width: 1024, height: 768 })
    await visit('events')
    await page.locator('[data-table="records"] tbody tr').first().waitFor()
    await shoot('events-tablet')
    // Tables take the new width a moment after the window did.
    while (await page.evaluate(() => document.documentElement.scrollWidth !== document.documentElement.clientWidth)) await page.waitForTimeout(100)
    await page.setViewportSize({ width: 1280, height: 800 })
  })

  await step('what is not the role\'s is neither shown nor answered', async () => {
    assert.equal(await page.locator('[data-page="audit"]').count(), 0)
    assert.equal(await page.evaluate(async () => (await fetch('/api/audit')).status), 403)
    assert.equal(await page.evaluate(async () => (await fetch('/api/rules/reload', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"reason":"r"}' })).status), 403)
    await signOut()
    assert.equal(await page.evaluate(async () => (await fetch('/api/overview')).status), 401)
  })

  await step('the audit administrator searches, verifies and exports', async () => {
    await signIn('audit')
    await visit('audit')
    await page.locator('[data-table="records"] tbody tr').first().waitFor()
    await press('verify')
    await page.locator('[data-state="verified"]').getByText('完整').waitFor()
    await accessible('audit')
    await shoot('audit')
    await press('export')
    await field('reason').fill('月度审计留存')
    const [download] = await Promise.all([page.waitForEvent('download'), press('reason-ok')])
    assert.equal(download.suggestedFilename(), 'audit.csv')
    assert.match(readFileSync(await download.path(), 'utf8'), /console\.sign_in/)
    await signOut()
  })

  await step('the system administrator adds an account, which enrols', async () => {
    await signIn('system')
    await visit('system')
    await page.locator('[data-table="accounts"] tbody tr').nth(2).waitFor()
    await press('add-account')
    await field('account').fill('inspector.zhao')
    await field('first-password').fill('First password 1')
    await press('add-ok')
    await field('reason').fill('年度检查')
    await press('reason-ok')
    await page.locator('[data-table="accounts"]').getByText('inspector.zhao').waitFor()
    await accessible('system')
    await shoot('system')
    await signOut()
    await field('name').fill('inspector.zhao')
    await field('password').fill('First password 1')
    await press('sign-in')
    secrets.inspector = (await page.locator('[data-field="secret"]').innerText()).trim()
    await shoot('enrol')
    await field('new-password').fill(password)
    await field('repeat').fill(password)
    await field('totp').fill(await freshCode('inspector'))
    await press('sign-in')
    await page.locator('[data-page="audit"]').waitFor()
    assert.equal(await page.locator('[data-page="system"]').count(), 0)
  })
  assert.deepEqual(barriers, [], 'axe-core')
  await context.close()
} catch (error) {
  await page.screenshot({ path: path.join(shots, 'failed.png') }).catch(() => {})
  console.error(error)
  console.error(complaints, barriers)
  await context.close().catch(() => {})
  process.exitCode = 1
}
