// One filter for every list of records, kept in the address: a link shows what its sender saw.
import { computed } from 'vue'
import { useRoute, useRouter } from 'vue-router'

export const filterKeys = ['since', 'until', 'kind', 'severity', 'outcome', 'address', 'sid', 'domain', 'subject', 'action', 'source', 'policy_line', 'text'] as const
export type FilterKey = (typeof filterKeys)[number]
export type Filter = Partial<Record<FilterKey, string>>

export function useFilter() {
  const route = useRoute()
  const router = useRouter()
  const filter = computed<Filter>(() => Object.fromEntries(filterKeys.flatMap((key) => {
    const value = route.query[key]
    return typeof value === 'string' && value ? [[key, value]] : []
  })))
  async function set(change: Filter) {
    const query = Object.fromEntries(Object.entries({ ...filter.value, ...change }).filter(([, value]) => value))
    await router.replace({ path: route.path, query })
  }
  return { filter, set, clear: () => router.replace({ path: route.path, query: {} }) }
}
