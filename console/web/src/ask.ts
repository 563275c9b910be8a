// Why an act is done: one dialog for all pages. Gives nothing where it was closed.
import { reactive } from 'vue'

export const asking = reactive<{ open: boolean; title: string; reason: string; answer: (reason: string | null) => void }>({
  open: false,
  title: '',
  reason: '',
  answer: () => {},
})
export function askReason(title: string): Promise<string | null> {
  return new Promise((answer) => Object.assign(asking, { open: true, title, reason: '', answer }))
}
