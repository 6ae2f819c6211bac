/**
 * The parts of the SDKs that this adapter uses. Both have it; only one of them comes with types. The methods take any object, since
 * each SDK has classes of its own for them.
 */
export interface ZohoCrmSdk {
  readonly Initializer: {
    /** Sets the SDK's only configuration. */
    initialize(
      environment: object,
      token: object,
      store: object,
      sdkConfig: object,
      resourcePath: string,
      logger: object,
    ): Promise<void>;
  };
  readonly OAuthToken: new (
    clientId: null,
    clientSecret: null,
    grantToken: null,
    refreshToken: null,
    redirectUrl: null,
    id: null,
    accessToken: null,
    user: null,
    findUser: boolean,
  ) => object;
  readonly UserSignature: new (name: string) => object;
  readonly USDataCenter: {
    /** Returns the hosts of the United States. */
    PRODUCTION(): SdkEnvironment;
  };
  readonly SDKConfigBuilder: new () => SdkBuilder<SdkConfig>;
  readonly LogBuilder: new () => SdkLogBuilder;
  readonly Levels: { readonly OFF: string };
  readonly SDKException: new (code: string, message: string) => object;
}

/** A builder of the SDK. */
export interface SdkBuilder<Built> {
  /** Returns what was built. */
  build(): Built;
}

/** The builder of the SDK's logger. */
export interface SdkLogBuilder {
  /** Sets the level. */
  level(level: string): {
    /** Sets the file; null for none. */
    filePath(path: null): SdkBuilder<object>;
  };
}

/** The hosts that the SDK writes into URLs. */
export interface SdkEnvironment {
  /** Returns the origin of the API. */
  getUrl(): string;
  /** Returns the origin for files. */
  getFileUploadUrl(): string;
}

/** The part of the SDK's settings that matters here. */
export interface SdkConfig {
  /** Tells whether the SDK refreshes field definitions by itself. */
  getAutoRefreshFields(): boolean;
  /** Returns milliseconds; 0 for no limit. */
  getTimeout(): number;
}

/** One call of the SDK, before it is sent. */
export interface SdkConnector {
  url: string;
  requestMethod: string;
  headers: ReadonlyMap<string, string> | null;
  parameters: ReadonlyMap<string, unknown> | null;
  requestBody: object | null | undefined;
  contentType: string | null | undefined;
  setContentTypeHeader(): void;
  fireRequest(converter: SdkConverter | null): Promise<SdkAnswer>;
}

/** Writes the body of a call. */
export interface SdkConverter {
  /** A text, or the form of a file upload. */
  appendToRequest(connector: SdkConnector, request: null): unknown;
}

/** An answer in the form of the SDK's HTTP client. */
export interface SdkAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly rawBody: Buffer;
}
