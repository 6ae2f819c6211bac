import { z } from 'zod';

export const text = z.string().min(1).max(2_048);
export const count = z.number().int().nonnegative().max(1e12);
export const httpStatus = z.number().int().min(200).max(599);
