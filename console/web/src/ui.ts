// Language and theme, as this browser had them last.
import { ref, watch } from 'vue'
import { i18n } from './i18n'

export type Lang = 'zh' | 'en'
function stored(key: string) {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}
export const lang = ref<Lang>(stored('menshen.lang') === 'en' ? 'en' : 'zh')
export const dark = ref((stored('menshen.theme') ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark')

watch(lang, (now) => {
  i18n.global.locale.value = now
  document.documentElement.lang = now === 'zh' ? 'zh-CN' : 'en'
  document.title = now === 'zh' ? '门神控制台' : 'Menshen console'
  try {
    localStorage.setItem('menshen.lang', now)
  } catch {
    // Private windows may have no storage: the choice lasts as long as the page.
  }
}, { immediate: true })
watch(dark, (now) => {
  document.documentElement.classList.toggle('dark', now)
  try {
    localStorage.setItem('menshen.theme', now ? 'dark' : 'light')
  } catch {
    // As above.
  }
}, { immediate: true })

export function both(text: { zh: string; en: string } | undefined | null) {
  return text ? text[lang.value] : ''
}
// Records carry both languages as "zh / en".
export function halves(text: string | undefined) {
  if (!text) return ''
  const parts = text.split(' / ')
  return parts.length === 2 && /[\u4e00-\u9fff]/.test(parts[0]) ? parts[lang.value === 'zh' ? 0 : 1] : text
}
export function when(text: string | undefined) {
  if (!text) return ''
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) return text
  const two = (n: number) => String(n).padStart(2, '0')
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
}
export function count(value: unknown) {
  return typeof value === 'number' ? value.toLocaleString(lang.value === 'zh' ? 'zh-CN' : 'en') : '–'
}
export function bytes(value: unknown) {
  if (typeof value !== 'number') return '–'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let left = value
  let unit = 0
  for (; left >= 1024 && unit < units.length - 1; left /= 1024) unit++
  return `${left.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`
}
