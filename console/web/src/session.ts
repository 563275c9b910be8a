// Who is signed in, and what the role may see.
import { reactive } from 'vue'
import { get, useToken, type Schemas } from './api/client'

export type Role = Schemas['Role']
export const session = reactive<{ known: boolean; is: Schemas['Session'] | null }>({ known: false, is: null })

export function signedIn(as: Schemas['Session']) {
  session.is = as
  session.known = true
  useToken(as.csrf)
}
export function signedOut() {
  session.is = null
  session.known = true
  useToken('')
}
export async function askSession() {
  if (session.known) return
  try {
    signedIn(await get<Schemas['Session']>('/api/session'))
  } catch {
    signedOut()
  }
}
export function can(...roles: Role[]) {
  return session.is !== null && roles.includes(session.is.role)
}
